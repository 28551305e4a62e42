package configstore

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	networking "istio.io/api/networking/v1alpha3"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/gvk"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/testutil"
)

// fakeState is a contract.State that a test controls.
type fakeState struct {
	mu       sync.Mutex
	desired  map[mesh.Name][]mesh.Object
	complete bool
}

func (s *fakeState) Desired(name mesh.Name) contract.Desired {
	s.mu.Lock()
	defer s.mu.Unlock()
	return contract.Desired{Resources: mesh.Resources{Objects: s.desired[name]}, Authoritative: true}
}

func (s *fakeState) Names() (names []mesh.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.desired {
		names = append(names, name)
	}
	return names
}

func (s *fakeState) Complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.complete
}

func (s *fakeState) Restored() bool                              { return s.Complete() }
func (s *fakeState) Written(mesh.Name, uint64) (since time.Time) { return time.Time{} }

func (s *fakeState) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

var web = mesh.Name{Source: "dc1", Label: "web"}

func objects(namespace, address string) []mesh.Object {
	return []mesh.Object{
		{
			Kind: mesh.ServiceEntryKind, Namespace: namespace, Name: "web.dc1",
			Spec: &networking.ServiceEntry{Hosts: []string{"web.service.consul"}},
		},
		{
			Kind: mesh.WorkloadEntryKind, Namespace: namespace, Name: "web-a.dc1",
			Spec: &networking.WorkloadEntry{Address: address},
		},
	}
}

// start runs an output and its store until the test ends. The store runs as in istiod.
func start(t *testing.T, state *fakeState) *Output {
	t.Helper()
	output := New(slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()))
	ctx, cancel := context.WithCancel(context.Background())
	stop, done := make(chan struct{}), make(chan error, 1)
	go output.Store().Run(stop)
	go func() { done <- output.Run(ctx, state) }()
	t.Cleanup(func() {
		cancel()
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return output
}

// TestNotSyncedBeforeComplete verifies that the store is not synced, and so istiod serves nothing, before every source is
// complete, and that the store then holds everything.
func TestNotSyncedBeforeComplete(t *testing.T) {
	state := &fakeState{desired: map[mesh.Name][]mesh.Object{web: objects("consul-services", "10.0.0.1")}}
	output := start(t, state)
	output.Notify(web)
	if output.Store().HasSynced() || output.Ready() == nil {
		t.Fatal("synced before the source is complete")
	}
	state.update(func() { state.complete = true })
	output.Synced()
	testutil.EventuallyTrue(t, "the store is synced", output.Store().HasSynced)
	if got := addresses(output.Store()); len(got) != 1 || output.Ready() != nil {
		t.Errorf("addresses %v, ready %v", got, output.Ready())
	}
}

// TestMoveKeepsEndpoints verifies that a service that moves to another namespace has its new objects before it loses the
// old ones.
func TestMoveKeepsEndpoints(t *testing.T) {
	state := &fakeState{desired: map[mesh.Name][]mesh.Object{web: objects("one", "10.0.0.1")}, complete: true}
	output := start(t, state)
	testutil.EventuallyTrue(t, "the store is synced", output.Store().HasSynced)
	var mu sync.Mutex
	entries, without := map[string]bool{"one": true}, 0
	output.Store().RegisterEventHandler(gvk.WorkloadEntry, func(_, next config.Config, event model.Event) {
		mu.Lock()
		defer mu.Unlock()
		if entries[next.Namespace] = event != model.EventDelete; !entries["one"] && !entries["two"] {
			without++
		}
	})
	state.update(func() { state.desired[web] = objects("two", "10.0.0.1") })
	output.Notify(web)
	testutil.EventuallyTrue(t, "the service moves", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return entries["two"] && !entries["one"]
	})
	mu.Lock()
	defer mu.Unlock()
	if without > 0 {
		t.Error("the service was without endpoints")
	}
}

// TestRemoval verifies that a service that is gone leaves no object.
func TestRemoval(t *testing.T) {
	state := &fakeState{desired: map[mesh.Name][]mesh.Object{web: objects("one", "10.0.0.1")}, complete: true}
	output := start(t, state)
	testutil.EventuallyTrue(t, "the store is synced", output.Store().HasSynced)
	state.update(func() { delete(state.desired, web) })
	output.Notify(web)
	testutil.EventuallyTrue(t, "no objects are left", func() bool {
		return len(addresses(output.Store())) == 0 && len(output.Store().List(gvk.ServiceEntry, "")) == 0
	})
}

// addresses returns the addresses of all WorkloadEntries.
func addresses(store model.ConfigStoreController) (addresses []string) {
	for _, entry := range store.List(gvk.WorkloadEntry, "") {
		addresses = append(addresses, entry.Spec.(*networking.WorkloadEntry).Address)
	}
	return addresses
}
