package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestLiveObjects verifies that outputs see the live objects of a service until the service is reported or the source has
// synced, and that live objects aren't authoritative.
func TestLiveObjects(t *testing.T) {
	store := liveStore{newFakeStore(), map[mesh.Name][]mesh.Object{}}
	store.partial = true
	for _, label := range []string{"stays", "left"} {
		name := mesh.Name{Source: "consul", Label: label}
		service := reported("consul", label, "1")
		resources, _ := mesh.Translate(service, name, meshOptions())
		store.live[name], store.services[service.Key] = resources.Objects, service
	}
	store.live[mesh.Name{Source: "gone", Label: "web"}] = store.live[mesh.Name{Source: "consul", Label: "left"}]
	source, out := newFakeSource("consul"), newFakeOutput()
	e := startWith(t, Options{Store: store, Rules: Rules{Mesh: meshOptions()}}, out, source)
	eventually(t, []string{"left", "stays"}, out.labels)
	if d := e.Desired(mesh.Name{Source: "consul", Label: "left"}); d.Authoritative || !e.Restored() || e.Complete() {
		t.Errorf("authoritative %v, restored %v, complete %v", d.Authoritative, e.Restored(), e.Complete())
	}
	source.report(reported("consul", "stays", "1", "2"))
	eventually(t, 3, func() int { return len(e.Desired(mesh.Name{Source: "consul", Label: "stays"}).Objects) })
	source.report(catalog.Service{Key: catalog.Key{Source: "consul", Name: "left"}})
	source.sync()
	eventually(t, []string{"stays"}, out.labels)
	eventually(t, true, func() bool { return e.Desired(mesh.Name{Source: "consul", Label: "left"}).Authoritative })
}

// TestLastKnownGoodIsServed verifies that a complete last known good is served while the registry is down, and that a partial
// one doesn't count as complete.
func TestLastKnownGoodIsServed(t *testing.T) {
	store := newFakeStore()
	store.Save(contract.Change{Services: []catalog.Service{reported("consul", "web", "1"), reported("gone", "x", "1")}})
	e, stop := startStoppable(t, guarded(store), newFakeOutput(), newFakeSource("consul"))
	eventually(t, nil, e.Ready) // its objects may be live
	if e.Complete() {
		t.Error("a partial last known good counts as complete")
	}
	stop()

	store.Save(contract.Change{Synced: "consul"})
	store.Save(contract.Change{Synced: "gone"})
	out := newFakeOutput()
	e = startWith(t, guarded(store), out, newFakeSource("consul"))
	eventually(t, []string{"web"}, out.labels)
	eventually(t, true, e.Complete)
	eventually(t, nil, e.Ready)
	want := []SourceStatus{{Name: "consul", LastKnownGood: true, LastChange: time.Unix(1, 0)}}
	got := e.Status()
	if age, err := time.ParseDuration(got[0].Age); err != nil || (time.Since(time.Unix(1, 0))-age).Abs() > time.Minute {
		t.Errorf("the age is %s, %v", got[0].Age, err)
	}
	got[0].Age = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(store.services) != 1 || len(store.synced) != 1 {
		t.Errorf("the store has content of a removed source: %v, %v", store.services, store.synced)
	}
}

// TestHiddenServicesStay verifies that services that the source can't read at the start stay as restored, from a complete and
// from a partial last known good. Services that are gone leave once the source can read everything.
func TestHiddenServicesStay(t *testing.T) {
	for _, partial := range []bool{false, true} {
		t.Run(fmt.Sprintf("partial=%v", partial), func(t *testing.T) {
			store := newFakeStore()
			first, out := newFakeSource("consul"), newFakeOutput()
			_, stop := startStoppable(t, guarded(store), out, first)
			names := fleet(first)
			eventually(t, names, out.labels)
			stop()

			store.partial = partial
			// A live entry without endpoints stays too, although no service can be restored from it.
			empty := mesh.Name{Source: "consul", Label: "empty"}
			resources, _ := mesh.Translate(reported("consul", "empty", "1"), empty, meshOptions())
			stored, entries := liveStore{store, map[mesh.Name][]mesh.Object{}}, []string{}
			if partial {
				stored.live[empty], entries = resources.Objects[:1], []string{"empty"}
			}
			source, out := newFakeSource("consul"), newFakeOutput()
			e := startWith(t, guarded(stored), out, source)
			hidden := reported("consul", "s1", "3")
			hidden.Partial = true
			source.report(reported("consul", "s0", "1"), hidden)
			source.syncPartially()
			eventually(t, append(entries, names...), out.labels)
			eventually(t, true, e.Complete)
			for label, want := range map[string]int{"s0": 1, "s1": 3, "s2": 2} {
				desired := func() contract.Desired { return e.Desired(mesh.Name{Source: "consul", Label: label}) }
				eventually(t, want, func() int { return len(desired().Objects) - 1 })
				eventually(t, true, func() bool { return desired().Authoritative })
			}
			if e.Desired(empty).Authoritative == partial {
				t.Error("the absence of a live object that may be hidden is authoritative")
			}
			want := []SourceStatus{{Name: "consul", LastKnownGood: true}}
			if diff := cmp.Diff(want, e.Status(), cmpopts.IgnoreFields(SourceStatus{}, "LastChange", "Age")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}

			source.report(reported("consul", "s1", "3")) // a full report
			eventually(t, 2, func() int { return len(e.Desired(mesh.Name{Source: "consul", Label: "s1"}).Objects) })
			for _, name := range names[2:] {
				if name != "s5" {
					source.report(reported("consul", name, "1", "2"))
				}
			}
			source.sync()
			eventually(t, append([]string{"s0", "s1", "s2", "s3", "s4"}, names[6:]...), out.labels)
			eventually(t, []SourceStatus{{Name: "consul", Complete: true}}, e.Status)
		})
	}
}
