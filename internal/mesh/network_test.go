package mesh_test

import (
	"net/netip"
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestNetworks verifies that the longest range decides about the network of an instance, in any order of the ranges, and
// after that the source, in both forms of endpoints.
func TestNetworks(t *testing.T) {
	within := func(prefix, network string) mesh.NetworkRange {
		return mesh.NetworkRange{Prefix: netip.MustParsePrefix(prefix), Network: network}
	}
	networks := mesh.Networks{
		Ranges:  []mesh.NetworkRange{within("10.1.2.0/24", "dmz"), within("10.0.0.0/8", "vms"), within("10.1.0.0/16", "lab"), within("fd00::/8", "six")},
		Sources: map[string]string{"dc1": "first", "dc2": "second"},
	}
	for name, test := range map[string]struct{ source, reportedBy, address, want string }{
		"longest range":            {"dc1", "", "10.1.2.3", "dmz"},
		"middle range":             {"dc1", "", "10.1.3.3", "lab"},
		"shortest range":           {"dc1", "", "10.2.0.1", "vms"},
		"IPv6":                     {"dc1", "", "[fd00::1]", "six"},
		"IPv4 in IPv6":             {"dc1", "", "::ffff:10.1.2.3", "dmz"},
		"source":                   {"dc1", "", "203.0.113.7", "first"},
		"host name":                {"dc1", "", "vm.example.com", "first"},
		"source of a merged group": {"dc1", "dc2", "203.0.113.7", "second"},
		"none":                     {"dc3", "", "203.0.113.7", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, form := range []mesh.Form{mesh.WorkloadEntryForm, mesh.InlineForm} {
				service := serviceAt(test.address)
				service.Key.Source, service.Instances[0].Source = test.source, test.reportedBy
				resources, _ := mesh.Translate(service, mesh.Name{Source: test.source, Label: "web"}, mesh.Options{
					Domain: "consul", ClusterDomain: "cluster.local", DefaultProtocol: mesh.HTTP, Placement: mesh.Placement{Base: "ns"},
					Form: form, Networks: networks,
				})
				if got := networkOf(t, resources); got != test.want {
					t.Errorf("form %s: network %q, want %q", form, got, test.want)
				}
			}
		})
	}
}

// networkOf returns the network of the only endpoint.
func networkOf(t *testing.T, resources mesh.Resources) string {
	t.Helper()
	for _, object := range resources.Objects {
		switch spec := object.Spec.(type) {
		case *networking.WorkloadEntry:
			return spec.Network
		case *networking.ServiceEntry:
			if len(spec.Endpoints) > 0 {
				return spec.Endpoints[0].Network
			}
		}
	}
	t.Fatal("no endpoint")
	return ""
}
