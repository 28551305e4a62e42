package kube

import (
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestGeneration verifies that the generation of a service survives a restart, and that a replica that counts differently
// does not write the object again.
func TestGeneration(t *testing.T) {
	const ns = "generation"
	state := func(generation int) *fakeState {
		b := newFakeState(ns)
		b.set("web", map[string]string{"1": "v1"})
		name := mesh.Name{Source: "consul", Label: "web"}
		resources := b.Desired(name).Resources
		resources.Objects[0].Generation = generation
		b.put(name, resources)
		return b
	}
	first := start(t, state(3), nil)
	first.waitReady(t)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := start(t, state(5), nil)
	second.waitReady(t)
	snapshot, err := second.Store().Load(t.Context())
	if err != nil || len(snapshot.Services) != 1 || snapshot.Services[0].Generation != 3 {
		t.Errorf("restored %+v, %v", snapshot.Services, err)
	}
	if writes := second.attempts(t); len(writes) > 0 {
		t.Errorf("the second replica wrote %v", writes)
	}
}
