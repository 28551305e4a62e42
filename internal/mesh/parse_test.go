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

// TestRecallIsTheInverse holds that what is recalled of a service's objects becomes the same objects. What never serves
// isn't recalled, so services with such instances keep their endpoints only.
func TestRecallIsTheInverse(t *testing.T) {
	for _, c := range meshtest.Cases() {
		switch c.Name {
		case "id-long": // no annotation can hold it: it is recognised by its address
			continue
		case "placement-meta-disagrees": // an unhealthy instance has a say there
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			name := c.MeshName()
			wanted, findings := mesh.Translate(c.Service, name, c.Options)
			recalled := mesh.Parse(name, wanted.Objects)
			if endpoints(wanted) == 0 {
				if len(recalled) != 0 {
					t.Errorf("recalled %v of no endpoint", recalled)
				}
				return
			}
			if c.Options.Form == mesh.InlineForm && c.Service.Datacenter == "" {
				return // merged: nobody knows whose the endpoints are
			}
			service := merged(c.Service, recalled)
			got, _ := mesh.Translate(service, name, c.Options)
			all := len(findings) == 0 && !slices.ContainsFunc(c.Service.Instances, func(i catalog.Instance) bool { return !c.Options.TakesTraffic(i) })
			if !all {
				wanted.Objects, got.Objects = withoutEntry(wanted), withoutEntry(got)
			}
			if diff := cmp.Diff(wanted.Objects, got.Objects, cmp.Comparer(mesh.Object.Equal)); diff != "" {
				t.Errorf("(-before +recalled):\n%s", diff)
			}
		})
	}
}

// merged is the service of which several sources have parts.
func merged(before catalog.Service, parts []catalog.Service) catalog.Service {
	service := catalog.Service{Key: before.Key, Datacenter: before.Datacenter}
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

func endpoints(r mesh.Resources) int {
	n := len(withoutEntry(r))
	if len(r.Objects) > 0 {
		n += len(r.Objects[0].Spec.(*networking.ServiceEntry).Endpoints)
	}
	return n
}

func withoutEntry(r mesh.Resources) []mesh.Object {
	return slices.DeleteFunc(slices.Clone(r.Objects), func(o mesh.Object) bool { return o.Kind != mesh.WorkloadEntryKind })
}
