package mesh_test

import (
	"net/netip"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestAutoFormKeepsPodsOutOfWorkloadEntries verifies that AutoForm writes no WorkloadEntry for a service with an instance
// whose address may be a pod's, whatever the notation of the address and the health of the instance.
func TestAutoFormKeepsPodsOutOfWorkloadEntries(t *testing.T) {
	instance := func(id, address string, health catalog.Health) catalog.Instance {
		return catalog.Instance{ID: catalog.InstanceID{Node: "n", ServiceID: id}, Address: address, Port: 8080, Health: health}
	}
	public := instance("public", "203.0.113.7", catalog.Passing)
	for name, test := range map[string]struct {
		instances []catalog.Instance
		workloads int
	}{
		"public addresses only":        {[]catalog.Instance{public}, 1},
		"a host name":                  {[]catalog.Instance{instance("name", "vm.example.com", catalog.Passing)}, 1},
		"a private address":            {[]catalog.Instance{instance("pod", "10.244.1.7", catalog.Passing)}, 0},
		"a private address among many": {[]catalog.Instance{public, instance("pod", "192.168.3.4", catalog.Passing)}, 0},
		"a critical pod":               {[]catalog.Instance{public, instance("pod", "10.244.1.7", catalog.Critical)}, 0},
		"shared address space":         {[]catalog.Instance{instance("pod", "100.64.1.1", catalog.Passing)}, 0},
		"IPv6":                         {[]catalog.Instance{instance("pod", "fd00:10::7", catalog.Passing)}, 0},
		"IPv6 in brackets":             {[]catalog.Instance{instance("pod", "[fd00:10::7]", catalog.Passing)}, 0},
		"IPv4 in IPv6":                 {[]catalog.Instance{instance("pod", "::ffff:10.244.1.7", catalog.Passing)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			service := catalog.Service{Key: catalog.Key{Source: "dc1", Name: "web"}, Instances: test.instances}
			resources, _ := mesh.Translate(service, mesh.Name{Source: "dc1", Label: "web"}, mesh.Options{
				Domain: "consul", ClusterDomain: "cluster.local", DefaultProtocol: mesh.HTTP, Placement: mesh.Placement{Base: "consul-services"},
				Form: mesh.AutoForm, PodRanges: mesh.DefaultPodRanges(),
			})
			workloads := 0
			for _, object := range resources.Objects {
				if object.Kind == mesh.WorkloadEntryKind {
					workloads++
				}
			}
			if len(resources.Objects) == 0 || workloads != test.workloads {
				t.Errorf("%d WorkloadEntries in %d objects, want %d", workloads, len(resources.Objects), test.workloads)
			}
		})
	}
}

// TestPodAddress verifies that AutoForm keeps the recorded address while it is in the ranges, and otherwise takes the lowest
// one, in any order of the instances.
func TestPodAddress(t *testing.T) {
	for name, test := range map[string]struct {
		before    string
		addresses []string
		want      string
	}{
		"none":                     {"", []string{"203.0.113.7"}, ""},
		"the lowest":               {"", []string{"10.244.1.9", "203.0.113.7", "10.244.1.10", "10.244.1.7"}, "10.244.1.7"},
		"the recorded one":         {"10.244.1.9", []string{"10.244.1.7"}, "10.244.1.9"},
		"a pod that left":          {"10.244.1.9", []string{"203.0.113.7"}, "10.244.1.9"},
		"outside of other ranges":  {"10.9.9.9", []string{"203.0.113.7"}, ""},
		"replaced in other ranges": {"10.9.9.9", []string{"10.244.1.7"}, "10.244.1.7"},
	} {
		t.Run(name, func(t *testing.T) {
			options := mesh.Options{
				Domain: "consul", ClusterDomain: "cluster.local", DefaultProtocol: mesh.HTTP, Placement: mesh.Placement{Base: "consul-services"},
				Form: mesh.AutoForm, PodRanges: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")},
			}
			options.PodAddress, _ = netip.ParseAddr(test.before)
			resources, _ := mesh.Translate(serviceAt(test.addresses...), mesh.Name{Source: "dc1", Label: "web"}, options)
			got := resources.Objects[0].Annotations[mesh.PodAddressAnnotation]
			if got != test.want || resources.Objects[0].SelectsWorkloads() != (test.want == "") {
				t.Errorf("address %q, selects WorkloadEntries: %v; want %q", got, resources.Objects[0].SelectsWorkloads(), test.want)
			}
			if got != "" && mesh.PodAddressOf(resources.Objects).String() != got {
				t.Errorf("PodAddressOf returns %s", mesh.PodAddressOf(resources.Objects))
			}
		})
	}
}

// TestPodsInWorkloadEntries verifies that WorkloadEntries with the addresses of pods are one finding of the service, which
// stays the same while instances come and go.
func TestPodsInWorkloadEntries(t *testing.T) {
	find := func(form mesh.Form, addresses ...string) (found []mesh.Finding) {
		_, findings := mesh.Translate(serviceAt(addresses...), mesh.Name{Source: "dc1", Label: "web"}, mesh.Options{
			Domain: "consul", ClusterDomain: "cluster.local", DefaultProtocol: mesh.HTTP, Placement: mesh.Placement{Base: "consul-services"},
			Form: form, PodRanges: mesh.DefaultPodRanges(),
		})
		for _, finding := range findings {
			if finding.Reason == mesh.PodAddress {
				found = append(found, finding)
			}
		}
		return found
	}
	one, two := find(mesh.WorkloadEntryForm, "10.0.0.1"), find(mesh.WorkloadEntryForm, "10.0.0.2", "203.0.113.7", "10.0.0.3")
	if len(one) != 1 || len(two) != 1 || one[0].Count != 1 || two[0].Count != 2 || !one[0].Same(two[0]) {
		t.Errorf("findings %v and %v", one, two)
	}
	for _, form := range []mesh.Form{mesh.AutoForm, mesh.InlineForm} {
		if found := find(form, "10.0.0.1"); len(found) > 0 {
			t.Errorf("form %s: %v", form, found)
		}
	}
	if found := find(mesh.WorkloadEntryForm, "203.0.113.7", "vm.example.com"); len(found) > 0 {
		t.Errorf("without a pod: %v", found)
	}
}

// serviceAt returns a service with a healthy instance at each address.
func serviceAt(addresses ...string) catalog.Service {
	service := catalog.Service{Key: catalog.Key{Source: "dc1", Name: "web"}}
	for _, address := range addresses {
		service.Instances = append(service.Instances, catalog.Instance{
			ID: catalog.InstanceID{Node: "n", ServiceID: address}, Address: address, Port: 8080, Health: catalog.Passing,
		})
	}
	return service
}
