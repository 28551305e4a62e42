package engine

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// disconnectable is a source that can be cut off from its registry.
type disconnectable struct {
	*fakeSource
	cut atomic.Bool
}

func (r *disconnectable) Connected(context.Context) error {
	if r.cut.Load() {
		return errors.New("cut off")
	}
	return nil
}

// stands is what the mesh holds of services, and what is held there.
func stands(holds map[string]guard.Hold, services ...catalog.Service) contract.Snapshot {
	r := contract.Snapshot{Services: services, Holds: holds, Live: map[mesh.Name][]mesh.Object{}, Changed: time.Unix(1, 0)}
	for _, service := range services {
		name := mesh.Name{Source: service.Source, Label: service.Name}
		resources, _ := mesh.Translate(service, name, meshOptions())
		r.Live[name] = resources.Objects
	}
	return r
}

// TestTakeOver holds that a replica that takes over has its guard compare what stands with what it knows, and goes on
// with what is held there.
func TestTakeOver(t *testing.T) {
	source, out := newFakeSource("consul"), newFakeOutput()
	e := startWith(t, guarded(nil), out, source)
	names := fleet(source)
	eventually(t, names, out.labels)
	eventually(t, true, e.Complete)
	var standing []catalog.Service
	for _, name := range append([]string{"n0", "n1"}, names...) { // more than may go
		standing = append(standing, reported("consul", name, "1", "2"))
	}
	since := time.Unix(5, 0)
	e.TakeOver(t.Context(), stands(map[string]guard.Hold{"consul": {Since: since, Reason: "before"}}, standing...))
	if got, want := out.labels(), append([]string{"n0", "n1"}, names...); !slices.Equal(got, want) {
		eventually(t, want, out.labels)
	}
	eventually(t, []string{"consul: 4 instances of 2 services"}, holds(e))
	if hold := e.Status()[0].Hold; !hold.Since.Equal(since) || hold.Reason != "before" {
		t.Errorf("the hold became another one: %v", hold)
	}
	e.Release("consul") // as another replica did, which leads for a while
	eventually(t, names, out.labels)
	e.TakeOver(t.Context(), stands(nil, standing[2:]...))
	eventually(t, []string{}, holds(e))
	eventually(t, names, out.labels)
}

// TestTakeOverCutOff holds that a replica that isn't in touch with a registry changes nothing of what stands of it: it
// knows neither what came nor what left meanwhile. Once it is in touch again, what it reports counts.
func TestTakeOverCutOff(t *testing.T) {
	source, other, out := &disconnectable{fakeSource: newFakeSource("consul")}, newFakeSource("east"), newFakeOutput()
	e, _ := startSources(t, guarded(nil), out, []contract.Source{source, other})
	names := fleet(source.fakeSource)
	other.report(reported("east", "db", "1"))
	other.complete()
	eventually(t, true, e.Complete)
	eventually(t, slices.Concat([]string{"db"}, names), out.labels)

	source.cut.Store(true)
	source.report(reported("consul", "s0", "1", "2", "3")) // the mesh has one more by now, and another of s1
	standing := []catalog.Service{reported("consul", "new", "1"), reported("consul", "s1", "7"), reported("east", "db", "1")}
	e.TakeOver(t.Context(), stands(nil, standing...))
	desired := func(label string) contract.Desired { return e.Desired(mesh.Name{Source: "consul", Label: label}) }
	for label, objects := range map[string]int{"new": 2, "s0": 0, "s1": 2, "s2": 0} {
		if d := desired(label); d.Authoritative || len(d.Objects) != objects {
			t.Errorf("%s: known %v, %d objects", label, d.Authoritative, len(d.Objects))
		}
	}
	if d := e.Desired(mesh.Name{Source: "east", Label: "db"}); !d.Authoritative || len(d.Objects) != 2 {
		t.Errorf("the other source: known %v, %d objects", d.Authoritative, len(d.Objects))
	}
	if status := e.Status()[0]; e.Complete() || !e.Restored() || status.Complete || !status.LastKnownGood {
		t.Errorf("complete %v, recalled %v, %+v", e.Complete(), e.Restored(), status)
	}
	other.report(reported("east", "late", "1"))
	eventually(t, true, func() bool { return e.Desired(mesh.Name{Source: "east", Label: "late"}).Authoritative })

	source.report(reported("consul", "s1", "8"))
	source.cut.Store(false)
	eventually(t, true, e.Complete)
	eventually(t, slices.Concat([]string{"db", "late"}, names), out.labels)
	for label, objects := range map[string]int{"s0": 4, "s1": 2, "s2": 3} {
		if d := desired(label); !d.Authoritative || len(d.Objects) != objects {
			t.Errorf("%s: known %v, %d objects", label, d.Authoritative, len(d.Objects))
		}
	}
	eventually(t, []string{}, holds(e)) // one service of eleven left
}

// TestTakeOverOfMerged holds that a source that is cut off doesn't keep those that it is merged with from being written;
// what stands of its own instances is waited for.
func TestTakeOverOfMerged(t *testing.T) {
	e := idleEngine(map[string]string{"west": "west", "east": "west"})
	for _, source := range []string{"east", "west"} {
		service := reported(source, "web", "1")
		service.Instances[0].ID.Node, service.Instances[0].Address = source, addressOf(source)
		e.handle(oneUpdate(service))
		e.handleSynced(source, true)
	}
	web := mesh.Name{Source: "west", Label: "web"}
	standing := contract.Snapshot{Live: map[mesh.Name][]mesh.Object{web: e.Desired(web).Objects}}
	standing.Services = mesh.Parse(web, standing.Live[web])
	e.handleHandover(handover{Snapshot: standing, disconnected: []string{"east"}, done: make(chan struct{})})
	d := e.Desired(web)
	if !d.Authoritative || !slices.Equal(d.PendingSources, []string{"east"}) || len(d.Objects) != 2 {
		t.Errorf("known %v, waiting for %q, %d objects", d.Authoritative, d.PendingSources, len(d.Objects))
	}
	e.handleConnected("east")
	if d := e.Desired(web); !d.Authoritative || len(d.PendingSources) > 0 || len(d.Objects) != 3 {
		t.Errorf("known %v, waiting for %q, %d objects", d.Authoritative, d.PendingSources, len(d.Objects))
	}
}
