package mesh_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// TestParseIsTheInverse verifies that the translation of the parsed services gives the same objects. Instances without
// traffic are not parsed, so services with such instances keep only their endpoints.
func TestParseIsTheInverse(t *testing.T) {
	for _, c := range meshtest.Cases() {
		switch c.Name {
		case "id-long": // the ID exceeds an annotation; the instance is matched by address
			continue
		case "tag-hosts-too-many": // a tag with a host gets a label again, although it was not among the first
			continue
		case "placement-meta-disagrees": // an unhealthy instance chooses a namespace
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			name := c.MeshName()
			wanted, findings := mesh.Translate(c.Service, name, c.Options)
			parsed := mesh.Parse(name, wanted.Objects, tagObjects(wanted)...)
			if endpoints(wanted) == 0 {
				if len(parsed) != 0 {
					t.Errorf("parsed %v without endpoints", parsed)
				}
				return
			}
			if c.Options.Form == mesh.InlineForm && c.Service.Datacenter == "" {
				return // the endpoints of a merged service do not contain their source
			}
			service := merged(c.Service, parsed)
			got, _ := mesh.Translate(service, name, c.Options)
			all := len(findings) == 0 && !slices.ContainsFunc(c.Service.Instances, func(i catalog.Instance) bool { return !c.Options.TakesTraffic(i) })
			if diff := cmp.Diff(tagObjects(wanted), tagObjects(got), cmp.Comparer(mesh.Object.Equal)); diff != "" && all {
				t.Errorf("tags (-before +parsed):\n%s", diff)
			}
			if !all {
				wanted.Objects, got.Objects = withoutEntry(wanted), withoutEntry(got)
			}
			if diff := cmp.Diff(wanted.Objects, got.Objects, cmp.Comparer(mesh.Object.Equal)); diff != "" {
				t.Errorf("(-before +parsed):\n%s", diff)
			}
		})
	}
}

// tagObjects returns the objects of the tags.
func tagObjects(r mesh.Resources) []mesh.Object { return meshtest.Objects(r)[len(r.Objects):] }

// merged returns the service that consists of parts from several sources.
func merged(before catalog.Service, parts []catalog.Service) catalog.Service {
	service := catalog.Service{Key: before.Key, Datacenter: before.Datacenter, FormerTags: before.FormerTags}
	for _, part := range parts {
		for _, instance := range part.Instances {
			if before.Instances[0].Source != "" {
				instance.Source = part.Source
			}
			service.Instances = append(service.Instances, instance)
		}
	}
	slices.SortFunc(service.Instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
	return service
}

// endpoints returns the number of endpoints.
func endpoints(r mesh.Resources) int {
	n := len(withoutEntry(r))
	if len(r.Objects) > 0 {
		n += len(r.Objects[0].Spec.(*networking.ServiceEntry).Endpoints)
	}
	return n
}

// withoutEntry returns the WorkloadEntries.
func withoutEntry(r mesh.Resources) []mesh.Object {
	return slices.DeleteFunc(slices.Clone(r.Objects), func(o mesh.Object) bool { return o.Kind != mesh.WorkloadEntryKind })
}
