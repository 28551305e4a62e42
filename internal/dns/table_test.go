package dns

import (
	"net/netip"
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A host is answered by the service that had it first, whatever becomes of another that would like it.
func TestAHostStays(t *testing.T) {
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
		t.Errorf("answered: %v", found)
	}
	table.set(first, nil, nil)
	if table.find("shop.example.") != nil || table.exists("example.") {
		t.Error("it is answered after it has left")
	}
}

// A host changes its owner when the one lets go and the other has asked for it, in whatever order that is heard of.
func TestAHostIsHandedOver(t *testing.T) {
	serve := func(table *table, label, address string, hosts ...string) {
		table.set(mesh.Name{Source: "a", Label: label}, []mesh.Object{{Spec: &networking.ServiceEntry{Hosts: hosts, Addresses: []string{address}}}}, nil)
	}
	for _, first := range []string{"a-web", "web"} {
		table := newTable()
		serve(table, "web", "244.0.0.1", "a-web.example")
		serve(table, "a-web", "244.0.0.2", "a-a-web.example")
		changes := map[string]func(){ // {{ .Name }} goes before a-{{ .Name }} now
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
				t.Errorf("%s first: %s is answered %v", first, host, found)
			}
		}
		for address, host := range map[string]string{"244.0.0.1": "web.example.", "244.0.0.2": "a-web.example."} {
			if got := table.hostAt(netip.MustParseAddr(address)); got != host {
				t.Errorf("%s first: %s is called %q", first, address, got)
			}
		}
		table.set(mesh.Name{Source: "a", Label: "web"}, nil, nil)
		table.set(mesh.Name{Source: "a", Label: "a-web"}, nil, nil)
		if table.exists("example.") || len(table.claims)+len(table.below) > 0 || table.hostAt(netip.MustParseAddr("244.0.0.2")) != "" {
			t.Error("something is left of what has gone")
		}
	}
}
