package engine

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// meshOptions returns options of the translation.
func meshOptions() mesh.Options {
	return mesh.Options{
		Domain: "consul", ClusterDomain: "cluster.local", Form: mesh.WorkloadEntryForm,
		DefaultProtocol: mesh.HTTP, Placement: mesh.Placement{Base: "ns"},
	}
}

// start runs an engine with default options until the test ends.
func start(t *testing.T, out contract.Output, sources ...*fakeSource) *Engine {
	t.Helper()
	return startWith(t, Options{Rules: Rules{Mesh: meshOptions()}}, out, sources...)
}

// startWith runs an engine until the test ends.
func startWith(t *testing.T, options Options, out contract.Output, sources ...*fakeSource) *Engine {
	t.Helper()
	e, _ := startStoppable(t, options, out, sources...)
	return e
}

// startStoppable runs an engine until the test ends or calls stop.
func startStoppable(t *testing.T, options Options, out contract.Output, sources ...*fakeSource) (*Engine, func()) {
	t.Helper()
	var all []contract.Source
	for _, source := range sources {
		all = append(all, source)
	}
	return startSources(t, options, out, all)
}

// startSources is startStoppable for sources of any type.
func startSources(t *testing.T, options Options, out contract.Output, all []contract.Source) (*Engine, func()) {
	t.Helper()
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	options.Metrics = NewMetrics(prometheus.NewRegistry())
	e := New(options, all, []contract.Output{out})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return e, stop
}

// addressOf returns an address that depends on the ID of an instance only.
func addressOf(id string) string {
	sum := fnv.New32a()
	fmt.Fprint(sum, id)
	return fmt.Sprintf("10.%d.%d.%d", byte(sum.Sum32()>>16), byte(sum.Sum32()>>8), byte(sum.Sum32()))
}

// reported returns the report of a service with healthy instances.
func reported(source, name string, ids ...string) catalog.Service {
	s := catalog.Service{Key: catalog.Key{Source: source, Name: name}, Datacenter: "dc1"}
	for _, id := range ids {
		s.Instances = append(s.Instances, catalog.Instance{
			ID:      catalog.InstanceID{Datacenter: "dc1", Node: "n1", ServiceID: id},
			Address: addressOf(id), Port: 8080, Health: catalog.Passing, Weights: catalog.Weights{Passing: 1, Warning: 1},
		})
	}
	return s
}

// eventually waits until got returns want.
func eventually[T any](t *testing.T, want T, got func() T) {
	t.Helper()
	testutil.EventuallyEqual(t, want, got)
}

// guarded returns options with low limits of the guard.
func guarded(store contract.Store) Options {
	return Options{Store: store, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()), Rules: Rules{Mesh: meshOptions(), Guard: guard.Options{
		Window: time.Minute, Instances: 0.5, Services: 0.1, FewInstances: 3, FewServices: 1,
	}}}
}

// idleEngine returns an engine that doesn't run. The test calls its handlers.
func idleEngine(groups map[string]string) *Engine {
	return New(Options{
		Rules: Rules{Mesh: meshOptions()}, Groups: groups,
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()),
	}, []contract.Source{newFakeSource("consul"), newFakeSource("east"), newFakeSource("west"), newFakeSource("alone")}, nil)
}
