package dns

import (
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
	table.set(first, objects("244.0.0.1"))
	for _, address := range []string{"244.0.0.2", "244.0.0.3"} {
		table.set(second, objects(address))
	}
	table.set(second, nil)
	if found := table.find("shop.example."); found == nil || found.virtual[0].String() != "244.0.0.1" {
		t.Errorf("answered: %v", found)
	}
	table.set(first, nil)
	if table.find("shop.example.") != nil || table.exists("example.") {
		t.Error("it is answered after it has left")
	}
}
