package dns

import (
	"net/netip"
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestFirstServiceOwnsTheHost verifies that the first service that declares a host owns it, whatever happens to other
// candidates.
func TestFirstServiceOwnsTheHost(t *testing.T) {
	objects := func(address string) []mesh.Object {
		return []mesh.Object{{Spec: &networking.ServiceEntry{Hosts: []string{"shop.example"}, Addresses: []string{address}}}}
	}
	table := newTable()
	first, second := mesh.Name{Source: "a", Label: "shop"}, mesh.Name{Source: "b", Label: "shop"}
	table.set(first, objects("244.0.0.1"), nil)
	for _, address := range []string{"244.0.0.2", "244.0.0.3"} {
		table.set(second, objects(address), nil)
	}
	table.set(second, nil, nil)
	if found := table.find("shop.example."); found == nil || found.virtual[0].String() != "244.0.0.1" {
		t.Errorf("the host is answered with %v", found)
	}
	table.set(first, nil, nil)
	if table.find("shop.example.") != nil || table.exists("example.") {
		t.Error("the host is answered after its service was removed")
	}
}

// TestHostMovesToTheNextService verifies that a host moves to another service once the owner has released it and the other
// service has declared it, in either order.
func TestHostMovesToTheNextService(t *testing.T) {
	serve := func(table *table, label, address string, hosts ...string) {
		table.set(mesh.Name{Source: "a", Label: label}, []mesh.Object{{Spec: &networking.ServiceEntry{Hosts: hosts, Addresses: []string{address}}}}, nil)
	}
	for _, first := range []string{"a-web", "web"} {
		table := newTable()
		serve(table, "web", "244.0.0.1", "a-web.example")
		serve(table, "a-web", "244.0.0.2", "a-a-web.example")
		changes := map[string]func(){ // the order of the host templates {{ .Name }} and a-{{ .Name }} changes
			"web":   func() { serve(table, "web", "244.0.0.1", "web.example") },
			"a-web": func() { serve(table, "a-web", "244.0.0.2", "a-web.example", "a-a-web.example") },
		}
		changes[first]()
		delete(changes, first)
		for _, change := range changes {
			change()
		}
		for host, address := range map[string]string{"web.example.": "244.0.0.1", "a-web.example.": "244.0.0.2", "a-a-web.example.": "244.0.0.2"} {
			if found := table.find(host); found == nil || found.virtual[0].String() != address {
				t.Errorf("%s first: %s is answered with %v", first, host, found)
			}
		}
		for address, host := range map[string]string{"244.0.0.1": "web.example.", "244.0.0.2": "a-web.example."} {
			if got := table.hostAt(netip.MustParseAddr(address)); got != host {
				t.Errorf("%s first: the pointer of %s is %q", first, address, got)
			}
		}
		table.set(mesh.Name{Source: "a", Label: "web"}, nil, nil)
		table.set(mesh.Name{Source: "a", Label: "a-web"}, nil, nil)
		if table.exists("example.") || len(table.candidates)+len(table.hostsBelow) > 0 || table.hostAt(netip.MustParseAddr("244.0.0.2")) != "" {
			t.Error("data of removed services is left")
		}
	}
}
