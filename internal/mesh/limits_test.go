package mesh_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// largeService returns a service of many instances, each with some tags that become labels of maximum length.
func largeService(instances, tags int) meshtest.Case {
	c := meshtest.Cases()[1]
	c.Service.Instances = make([]catalog.Instance, instances)
	var long []string
	for n := range tags {
		long = append(long, fmt.Sprintf("%060d=%s", n, strings.Repeat("x", 63)))
	}
	for i := range c.Service.Instances {
		instance := catalog.Instance{
			ID:      catalog.InstanceID{Datacenter: "dc1", Node: "n", ServiceID: fmt.Sprintf("%06d", i)},
			Address: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), Port: 8080, Health: catalog.Passing, Tags: long,
		}
		c.Service.Instances[i] = instance
	}
	return c
}

// addresses returns the sorted addresses of the endpoints.
func addresses(resources mesh.Resources) []string {
	var all []string
	for _, object := range resources.Objects {
		switch spec := object.Spec.(type) {
		case *networking.ServiceEntry:
			for _, endpoint := range spec.Endpoints {
				all = append(all, endpoint.Address)
			}
		case *networking.WorkloadEntry:
			all = append(all, spec.Address)
		}
	}
	slices.Sort(all)
	return all
}

// TestLargeServiceIsBounded verifies that no object exceeds the limits of the API server or istiod, and that all skipped
// instances are counted.
func TestLargeServiceIsBounded(t *testing.T) {
	for _, form := range []mesh.Form{mesh.WorkloadEntryForm, mesh.InlineForm} {
		for _, size := range []struct{ instances, tags, most int }{{5000, 0, mesh.MaxInstances}, {500, 64, 400}, {500, 300, 400}} {
			t.Run(fmt.Sprint(form, " ", size), func(t *testing.T) {
				c := largeService(size.instances, size.tags)
				c.Options.Form = form
				c.Options.MaxInstances = size.most
				resources, findings := mesh.Translate(c.Service, c.MeshName(), c.Options)
				kept := len(addresses(resources))
				if kept == 0 || kept > size.most || (form == mesh.WorkloadEntryForm || size.tags == 0) && kept != size.most {
					t.Errorf("%d instances are left", kept)
				}
				if left := countOf(findings, mesh.TooManyInstances); kept+left != size.instances {
					t.Errorf("%d instances are left, %d are reported as skipped", kept, left)
				}
				if len(findings) > 100 {
					t.Errorf("%d findings", len(findings))
				}
				const etcd = 3 << 19 // 1.5 MiB
				for _, object := range resources.Objects {
					manifest, err := object.Manifest()
					if err != nil {
						t.Fatal(err)
					}
					if raw, err := json.Marshal(manifest); err != nil || len(raw) > etcd-(64<<10) {
						t.Fatalf("%s has %d bytes: %v", object.Name, len(raw), err)
					}
				}
			})
		}
	}
}

// countOf returns the number of cases of a reason.
func countOf(findings []mesh.Finding, reason mesh.Reason) int {
	count := 0
	for _, finding := range findings {
		if finding.Reason == reason {
			count += finding.Count
		}
	}
	return count
}

// TestLimitIsStable verifies that an added or removed instance changes at most one other at the limit, that health moves
// the limit by one, and that dead registrations do not displace healthy instances.
func TestLimitIsStable(t *testing.T) {
	for _, tags := range []int{0, 64} { // limited by number, and by size
		c := largeService(200, tags)
		c.Options.MaxInstances = 100
		before := endpointsOf(c)
		if len(before) == 0 || len(before) > 100 {
			t.Fatalf("%d instances are left", len(before))
		}
		for name, change := range map[string]func(*catalog.Service){
			"one goes":        func(s *catalog.Service) { s.Instances = slices.Delete(s.Instances, 3, 4) },
			"one comes first": func(s *catalog.Service) { s.Instances = slices.Insert(s.Instances, 0, first(s.Instances[0])) },
			"one is critical": func(s *catalog.Service) { s.Instances[3].Health = catalog.Critical },
			"one comes behind": func(s *catalog.Service) {
				last := s.Instances[len(s.Instances)-1]
				last.ID.ServiceID, last.Address = "z", "10.9.9.9"
				s.Instances = append(s.Instances, last)
			},
		} {
			changed := largeService(200, tags)
			changed.Options.MaxInstances = 100
			change(&changed.Service)
			after := endpointsOf(changed)
			if gone, come := missing(before, after), missing(after, before); gone > 1 || come > 1 {
				t.Errorf("%s: %d left and %d came", name, gone, come)
			}
		}
	}
	c := largeService(500, 0)
	c.Options.MaxInstances = 100
	for i := range c.Service.Instances[:450] {
		c.Service.Instances[i].Health = catalog.Critical
	}
	if left := endpointsOf(c); len(left) != 50 {
		t.Errorf("%d of 50 healthy instances are left", len(left))
	}
}

func first(like catalog.Instance) catalog.Instance {
	like.ID.ServiceID, like.Address = "!", "10.9.9.9"
	return like
}

func endpointsOf(c meshtest.Case) []string {
	resources, _ := mesh.Translate(c.Service, c.MeshName(), c.Options)
	return addresses(resources)
}

func missing(of, in []string) int {
	count := 0
	for _, one := range of {
		if _, found := slices.BinarySearch(in, one); !found {
			count++
		}
	}
	return count
}

// TestHugeRegistration verifies that a registration of maximum size gives bounded labels and findings.
func TestHugeRegistration(t *testing.T) {
	c := largeService(1, 0)
	huge := &c.Service.Instances[0]
	huge.Meta = map[string]string{}
	for i := range 5000 {
		huge.Meta[fmt.Sprint("key-", i)] = strings.Repeat("中", i)
		huge.Tags = append(huge.Tags, strings.Repeat("!", i)+"="+strings.Repeat("x", i))
	}
	huge.Address, huge.ID.ServiceID, huge.ID.Node = strings.Repeat("x.", 1<<19), strings.Repeat("y", 1<<20), strings.Repeat("\xff", 1<<20)
	c.Service.Instances = append(c.Service.Instances, *huge)
	c.Service.Instances[1].Address = "10.0.0.1"
	_, findings := mesh.Translate(c.Service, c.MeshName(), c.Options)
	size := 0
	for _, finding := range findings {
		size += len(strings.Join(finding.Details(), ""))
		for _, example := range finding.Examples {
			size += len(strings.Join(example.Subjects, ""))
		}
	}
	if size > 10_000 {
		t.Errorf("%d findings take %d bytes", len(findings), size)
	}
}

// TestPanicIsAFinding verifies that a panic gives a constant finding and Broken resources.
func TestPanicIsAFinding(t *testing.T) {
	c := meshtest.Cases()[0]
	c.Options.Registries = []mesh.Registry{{Source: "another"}}
	resources, findings := mesh.Translate(c.Service, c.MeshName(), c.Options)
	if !resources.Broken || len(resources.Objects) != 0 || len(findings) != 1 || findings[0].Reason != mesh.Untranslatable {
		t.Fatalf("%+v, %+v", resources, findings)
	}
	if !strings.Contains(findings[0].Examples[0].Detail, "index out of range [-1], in github.com/isthmus-mesh/isthmus/internal/mesh.Options.hostPatterns:") {
		t.Errorf("the position is missing: %s", findings[0].Examples[0].Detail)
	}
	if _, again := mesh.Translate(c.Service, c.MeshName(), c.Options); !slices.EqualFunc(findings, again, mesh.Finding.Same) {
		t.Errorf("%+v, then %+v", findings, again)
	}
}
