package engine

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// diary is a store that lives as long as a test.
type fakeStore struct {
	mu        sync.Mutex
	services  map[catalog.Key]catalog.Service
	synced    map[string]bool
	holds     map[string]guard.Hold
	addresses map[mesh.Name][]netip.Addr
	// partial says that what is recalled is only to compare with.
	partial  bool
	released chan string
}

func newFakeStore() *fakeStore {
	return &fakeStore{services: map[catalog.Key]catalog.Service{}, synced: map[string]bool{}, addresses: map[mesh.Name][]netip.Addr{}, released: make(chan string, 1)}
}

func (d *fakeStore) Load(context.Context) (contract.Snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := contract.Snapshot{Services: slices.Collect(maps.Values(d.services)), Holds: d.holds, Addresses: maps.Clone(d.addresses), Changed: time.Unix(1, 0)}
	if !d.partial {
		r.CompleteSources = slices.Sorted(maps.Keys(d.synced))
	}
	return r, nil
}

func (d *fakeStore) Save(change contract.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, service := range change.Services {
		if len(service.Instances) == 0 {
			delete(d.services, service.Key)
		} else {
			d.services[service.Key] = service
		}
	}
	for _, source := range change.Gone {
		maps.DeleteFunc(d.services, func(key catalog.Key, _ catalog.Service) bool { return key.Source == source })
		delete(d.synced, source)
	}
	if change.Synced != "" {
		d.synced[change.Synced] = true
	}
	for name, addresses := range change.Addresses {
		if d.addresses[name] = addresses; len(addresses) == 0 {
			delete(d.addresses, name)
		}
	}
	if change.Holds != nil {
		d.holds = change.Holds
	}
}

func (d *fakeStore) Run(ctx context.Context, feedback contract.Feedback) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case source := <-d.released:
			feedback.Release(source)
		}
	}
}

func guarded(store contract.Store) Options {
	return Options{Store: store, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()), Rules: Rules{Mesh: meshOptions(), Guard: guard.Options{
		Window: time.Minute, Instances: 0.5, Services: 0.1, FewInstances: 3, FewServices: 1,
	}}}
}

// fleet reports services s0 to s9.
func fleet(source *fakeSource) []string {
	var names []string
	for i := range 10 {
		names = append(names, fmt.Sprint("s", i))
		source.report(reported("consul", names[i], "1", "2"))
	}
	source.complete()
	return names
}

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

// TestFloodIsHeld holds that a registry that loses its services takes nothing from the mesh, before a restart and after,
// until somebody says that it is meant.
func TestFloodIsHeld(t *testing.T) {
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
			source.complete()
			eventually(t, append([]string{"new"}, names...), out.labels)
			eventually(t, []string{"consul: 20 instances of 10 services"}, holds(e))

			store.released <- "consul"
			eventually(t, []string{"new"}, out.labels)
			eventually(t, []string{}, holds(e))
		})
	}
}

// TestRegistryComesBack holds that a hold ends by itself when the registry has everything again.
func TestRegistryComesBack(t *testing.T) {
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

// TestLastKnownGoodIsServed holds that a whole recollection is served, and ready, while the registry is away, and that a
// part of one isn't taken for the whole.
func TestLastKnownGoodIsServed(t *testing.T) {
	store := newFakeStore()
	store.Save(contract.Change{Services: []catalog.Service{reported("consul", "web", "1"), reported("gone", "x", "1")}})
	e, stop := startStoppable(t, guarded(store), newFakeOutput(), newFakeSource("consul"))
	eventually(t, nil, e.Ready) // its objects may stand in the mesh
	if e.Complete() {
		t.Error("a part is taken for the whole")
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
		t.Errorf("its age is said to be %s, %v", got[0].Age, err)
	}
	got[0].Age = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(store.services) != 1 || len(store.synced) != 1 {
		t.Errorf("of a source that is gone it remembers %v, %v", store.services, store.synced)
	}
}

// TestOneSourceIsHeld holds that the flood of one source holds back nothing of another.
func TestOneSourceIsHeld(t *testing.T) {
	east, consul, out := newFakeSource("east"), newFakeSource("consul"), newFakeOutput()
	e := startWith(t, guarded(nil), out, east, consul)
	names := fleet(consul)
	east.report(reported("east", "web", "1"))
	east.complete()
	eventually(t, append(names, "web"), out.labels)
	eventually(t, true, e.Complete)
	for _, name := range names {
		consul.report(reported("consul", name))
	}
	eventually(t, []string{"consul: 20 instances of 10 services"}, holds(e))
	east.report(reported("east", "web"))
	eventually(t, names, out.labels)
}

// TestReleaseBeforeTheRegistryIsRead holds that what somebody lets go while the registry can't be read goes once it is,
// also after another restart; and that it stays until then.
func TestReleaseBeforeTheRegistryIsRead(t *testing.T) {
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
	source.complete()
	eventually(t, names[3:], out.labels)
	eventually(t, []string{}, holds(e))
}

// TestUselessInstancesAreHeld holds that a fleet that registers itself anew with addresses or ports that nobody can call
// leaves the mesh no more than one that disappears, and that what is kept is what could be called.
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
				t.Errorf("the mesh holds %v, not %v", now.Objects, written.Objects)
			}
		})
	}
}
