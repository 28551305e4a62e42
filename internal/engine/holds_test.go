package engine

import (
	"fmt"
	"slices"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// fleet reports the services s0 to s9 with two instances each, and syncs.
func fleet(source *fakeSource) []string {
	var names []string
	for i := range 10 {
		names = append(names, fmt.Sprint("s", i))
		source.report(reported("consul", names[i], "1", "2"))
	}
	source.sync()
	return names
}

// holds returns a function that describes the active holds.
func holds(e *Engine) func() []string {
	return func() []string {
		held := []string{}
		for _, status := range e.Status() {
			if status.Hold != nil {
				held = append(held, fmt.Sprintf("%s: %d instances of %d services", status.Name, status.Hold.Instances, status.Hold.Services))
			}
		}
		return held
	}
}

// TestMassRemovalIsHeld verifies that a registry that loses its services removes nothing from the mesh until an operator
// releases the hold, also across a restart.
func TestMassRemovalIsHeld(t *testing.T) {
	for _, partial := range []bool{false, true} {
		t.Run(fmt.Sprintf("partial=%v", partial), func(t *testing.T) {
			store, source, out := newFakeStore(), newFakeSource("consul"), newFakeOutput()
			store.partial = partial
			e, stop := startStoppable(t, guarded(store), out, source)
			names := fleet(source)
			eventually(t, names, out.labels)
			eventually(t, true, e.Complete)
			for _, name := range names {
				source.report(reported("consul", name))
			}
			eventually(t, []string{"consul: 20 instances of 10 services"}, holds(e))
			eventually(t, names, out.labels)
			stop()

			source, out = newFakeSource("consul"), newFakeOutput()
			e = startWith(t, guarded(store), out, source)
			if !partial {
				eventually(t, names, out.labels)
			}
			source.report(reported("consul", "new", "1"))
			source.sync()
			eventually(t, append([]string{"new"}, names...), out.labels)
			eventually(t, []string{"consul: 20 instances of 10 services"}, holds(e))

			store.released <- "consul"
			eventually(t, []string{"new"}, out.labels)
			eventually(t, []string{}, holds(e))
		})
	}
}

// TestRegistryRecovers verifies that a hold ends when the registry reports all instances again.
func TestRegistryRecovers(t *testing.T) {
	source, out := newFakeSource("consul"), newFakeOutput()
	e := startWith(t, guarded(nil), out, source)
	names := fleet(source)
	eventually(t, true, e.Complete)
	for _, name := range names {
		source.report(reported("consul", name))
	}
	eventually(t, []string{"consul: 20 instances of 10 services"}, holds(e))
	for _, name := range names {
		source.report(reported("consul", name, "1", "2"))
	}
	eventually(t, []string{}, holds(e))
	eventually(t, names, out.labels)
	source.report(reported("consul", "s3"))
	eventually(t, slices.Delete(names, 3, 4), out.labels)
}

// TestHoldsArePerSource verifies that a mass removal of one source doesn't hold removals of another one.
func TestHoldsArePerSource(t *testing.T) {
	east, consul, out := newFakeSource("east"), newFakeSource("consul"), newFakeOutput()
	e := startWith(t, guarded(nil), out, east, consul)
	names := fleet(consul)
	east.report(reported("east", "web", "1"))
	east.sync()
	eventually(t, append(names, "web"), out.labels)
	eventually(t, true, e.Complete)
	for _, name := range names {
		consul.report(reported("consul", name))
	}
	eventually(t, []string{"consul: 20 instances of 10 services"}, holds(e))
	east.report(reported("east", "web"))
	eventually(t, names, out.labels)
}

// TestReleaseBeforeTheSync verifies that a hold that is released before the sync stays active until the sync, also across
// another restart, and ends then.
func TestReleaseBeforeTheSync(t *testing.T) {
	store, source, out := newFakeStore(), newFakeSource("consul"), newFakeOutput()
	e, stop := startStoppable(t, guarded(store), out, source)
	names := fleet(source)
	eventually(t, true, e.Complete)
	for _, name := range names[:3] {
		source.report(reported("consul", name))
	}
	eventually(t, []string{"consul: 6 instances of 3 services"}, holds(e))
	stop()

	e, stop = startStoppable(t, guarded(store), newFakeOutput(), newFakeSource("consul"))
	store.released <- "consul"
	eventually(t, true, func() bool { return e.Status()[0].Hold != nil && e.Status()[0].Hold.Released })
	stop()

	source, out = newFakeSource("consul"), newFakeOutput()
	e = startWith(t, guarded(store), out, source)
	eventually(t, names, out.labels)
	for _, name := range names[3:] {
		source.report(reported("consul", name, "1", "2"))
	}
	source.sync()
	eventually(t, names[3:], out.labels)
	eventually(t, []string{}, holds(e))
}

// TestUselessInstancesAreHeld verifies that a fleet that registers again with unreachable addresses or ports counts as a mass
// removal, and that the mesh keeps the reachable ones.
func TestUselessInstancesAreHeld(t *testing.T) {
	for name, spoil := range map[string]func(*catalog.Instance){
		"a forbidden address": func(i *catalog.Instance) { i.Address = "127.0.0.1" },
		"no address":          func(i *catalog.Instance) { i.Address = "" },
		"no port":             func(i *catalog.Instance) { i.Port = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			options := guarded(nil)
			source, out := newFakeSource("consul"), newFakeOutput()
			e := startWith(t, options, out, source)
			names := fleet(source)
			eventually(t, true, e.Complete)
			eventually(t, names, out.labels)
			written := e.Desired(mesh.Name{Source: "consul", Label: "s9"})
			for _, name := range names {
				service := reported("consul", name, "1", "2")
				for i := range service.Instances {
					spoil(&service.Instances[i])
				}
				source.report(service)
			}
			eventually(t, []string{"consul: 20 instances of 10 services"}, holds(e))
			eventually(t, names, out.labels)
			if now := e.Desired(mesh.Name{Source: "consul", Label: "s9"}); !now.Equal(written.Resources) {
				t.Errorf("the mesh has %v, want %v", now.Objects, written.Objects)
			}
		})
	}
}
