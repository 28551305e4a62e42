package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// liveSnapshot returns a snapshot of the mesh with services and holds.
func liveSnapshot(holds map[string]guard.Hold, services ...catalog.Service) contract.Snapshot {
	r := contract.Snapshot{Services: services, Holds: holds, Live: map[mesh.Name][]mesh.Object{}, Changed: time.Unix(1, 0)}
	for _, service := range services {
		name := mesh.Name{Source: service.Source, Label: service.Name}
		resources, _ := mesh.Translate(service, name, meshOptions())
		r.Live[name] = resources.Objects
	}
	return r
}

// TestTakeOver verifies that the guard of a replica that takes over compares the mesh with its own reports, and that an
// active hold continues.
func TestTakeOver(t *testing.T) {
	source, out := newFakeSource("consul"), newFakeOutput()
	e := startWith(t, guarded(nil), out, source)
	names := fleet(source)
	eventually(t, names, out.labels)
	eventually(t, true, e.Complete)
	var live []catalog.Service
	for _, name := range append([]string{"n0", "n1"}, names...) { // more than the limit
		live = append(live, reported("consul", name, "1", "2"))
	}
	since := time.Unix(5, 0)
	e.TakeOver(t.Context(), liveSnapshot(map[string]guard.Hold{"consul": {Since: since, Reason: "before"}}, live...))
	if got, want := out.labels(), append([]string{"n0", "n1"}, names...); !slices.Equal(got, want) {
		eventually(t, want, out.labels)
	}
	eventually(t, []string{"consul: 4 instances of 2 services"}, holds(e))
	if hold := e.Status()[0].Hold; !hold.Since.Equal(since) || hold.Reason != "before" {
		t.Errorf("the hold was replaced: %v", hold)
	}
	e.Release("consul") // as on another replica, which leads for some time
	eventually(t, names, out.labels)
	e.TakeOver(t.Context(), liveSnapshot(nil, live[2:]...))
	eventually(t, []string{}, holds(e))
	eventually(t, names, out.labels)
}

// TestTakeOverDisconnected verifies that a replica without a connection to a registry doesn't change the live objects of the
// source: it may have missed additions and removals. The reports apply once the source is connected.
func TestTakeOverDisconnected(t *testing.T) {
	source, other, out := &disconnectable{fakeSource: newFakeSource("consul")}, newFakeSource("east"), newFakeOutput()
	e, _ := startSources(t, guarded(nil), out, []contract.Source{source, other})
	names := fleet(source.fakeSource)
	other.report(reported("east", "db", "1"))
	other.sync()
	eventually(t, true, e.Complete)
	eventually(t, slices.Concat([]string{"db"}, names), out.labels)

	source.cut.Store(true)
	source.report(reported("consul", "s0", "1", "2", "3")) // the mesh has another service and another instance of s1
	live := []catalog.Service{reported("consul", "new", "1"), reported("consul", "s1", "7"), reported("east", "db", "1")}
	e.TakeOver(t.Context(), liveSnapshot(nil, live...))
	desired := func(label string) contract.Desired { return e.Desired(mesh.Name{Source: "consul", Label: label}) }
	for label, objects := range map[string]int{"new": 2, "s0": 0, "s1": 2, "s2": 0} {
		if d := desired(label); d.Authoritative || len(d.Objects) != objects {
			t.Errorf("%s: authoritative %v, %d objects", label, d.Authoritative, len(d.Objects))
		}
	}
	if d := e.Desired(mesh.Name{Source: "east", Label: "db"}); !d.Authoritative || len(d.Objects) != 2 {
		t.Errorf("the other source: authoritative %v, %d objects", d.Authoritative, len(d.Objects))
	}
	if status := e.Status()[0]; e.Complete() || !e.Restored() || status.Complete || !status.LastKnownGood {
		t.Errorf("complete %v, restored %v, %+v", e.Complete(), e.Restored(), status)
	}
	other.report(reported("east", "late", "1"))
	eventually(t, true, func() bool { return e.Desired(mesh.Name{Source: "east", Label: "late"}).Authoritative })

	source.report(reported("consul", "s1", "8"))
	source.cut.Store(false)
	eventually(t, true, e.Complete)
	eventually(t, slices.Concat([]string{"db", "late"}, names), out.labels)
	for label, objects := range map[string]int{"s0": 4, "s1": 2, "s2": 3} {
		if d := desired(label); !d.Authoritative || len(d.Objects) != objects {
			t.Errorf("%s: authoritative %v, %d objects", label, d.Authoritative, len(d.Objects))
		}
	}
	eventually(t, []string{}, holds(e)) // one of eleven services was removed
}

// TestTakeOverWithMergedSources verifies that a disconnected source doesn't block the other members of its group: their
// instances are authoritative, and its own live objects are pending.
func TestTakeOverWithMergedSources(t *testing.T) {
	e := idleEngine(map[string]string{"west": "west", "east": "west"})
	for _, source := range []string{"east", "west"} {
		service := reported(source, "web", "1")
		service.Instances[0].ID.Node, service.Instances[0].Address = source, addressOf(source)
		e.handle(oneUpdate(service))
		e.handleSynced(source, true)
	}
	web := mesh.Name{Source: "west", Label: "web"}
	live := contract.Snapshot{Live: map[mesh.Name][]mesh.Object{web: e.Desired(web).Objects}}
	live.Services = mesh.Parse(web, live.Live[web])
	e.handleHandover(handover{Snapshot: live, disconnected: []string{"east"}, done: make(chan struct{})})
	d := e.Desired(web)
	if !d.Authoritative || !slices.Equal(d.PendingSources, []string{"east"}) || len(d.Objects) != 2 {
		t.Errorf("authoritative %v, pending %q, %d objects", d.Authoritative, d.PendingSources, len(d.Objects))
	}
	e.handleConnected("east")
	if d := e.Desired(web); !d.Authoritative || len(d.PendingSources) > 0 || len(d.Objects) != 3 {
		t.Errorf("authoritative %v, pending %q, %d objects", d.Authoritative, d.PendingSources, len(d.Objects))
	}
}
