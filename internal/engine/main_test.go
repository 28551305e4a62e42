package engine

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a source that does what a test tells it.
type fakeSource struct {
	name  string
	steps chan func(catalog.Sink)
}

func newFakeSource(name string) *fakeSource {
	return &fakeSource{name: name, steps: make(chan func(catalog.Sink))}
}

func (s *fakeSource) Name() string { return s.name }

func (s *fakeSource) Run(ctx context.Context, sink catalog.Sink) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case step := <-s.steps:
			step(sink)
		}
	}
}

func (s *fakeSource) report(services ...catalog.Service) {
	s.steps <- func(sink catalog.Sink) {
		for _, service := range services {
			sink.Update(service, time.Now())
		}
	}
}

// completePartly is what a source says that was not shown all names.
func (s *fakeSource) completePartly() {
	s.steps <- func(sink catalog.Sink) { sink.Synced(s.name, false) }
}

func (s *fakeSource) complete() { s.steps <- func(sink catalog.Sink) { sink.Synced(s.name, true) } }

// mirror is an output that holds what it read; it notes each read that differed.
type fakeOutput struct {
	names  chan mesh.Name
	synced chan struct{}

	mu     sync.Mutex
	held   map[mesh.Name][]string
	writes int
	err    error
}

func newFakeOutput() *fakeOutput {
	return &fakeOutput{names: make(chan mesh.Name, 1000), synced: make(chan struct{}, 10), held: map[mesh.Name][]string{}}
}

func (m *fakeOutput) Notify(name mesh.Name) { m.names <- name }
func (m *fakeOutput) Synced()               { m.synced <- struct{}{} }

func (m *fakeOutput) Ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *fakeOutput) Run(ctx context.Context, state contract.State) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.synced:
		case name := <-m.names:
			desired := state.Desired(name)
			m.mu.Lock()
			m.writes++
			m.held[name] = nil
			for _, object := range desired.Objects {
				m.held[name] = append(m.held[name], object.Name)
			}
			if len(m.held[name]) == 0 {
				delete(m.held, name)
			}
			m.mu.Unlock()
			state.Written(name, desired.Revision)
		}
	}
}

// hosts are the labels that the mirror holds, sorted.
func (m *fakeOutput) labels() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	labels := []string{}
	for name := range m.held {
		labels = append(labels, name.Label)
	}
	slices.Sort(labels)
	return labels
}

func (m *fakeOutput) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

func meshOptions() mesh.Options {
	return mesh.Options{
		Domain: "consul", ClusterDomain: "cluster.local", Form: mesh.WorkloadEntryForm,
		DefaultProtocol: mesh.HTTP, Placement: mesh.Placement{Base: "ns"},
	}
}

func start(t *testing.T, out contract.Output, sources ...*fakeSource) *Engine {
	t.Helper()
	return startWith(t, Options{Rules: Rules{Mesh: meshOptions()}}, out, sources...)
}

// startWith runs a engine until the test ends.
func startWith(t *testing.T, options Options, out contract.Output, sources ...*fakeSource) *Engine {
	t.Helper()
	e, _ := startStoppable(t, options, out, sources...)
	return e
}

func startStoppable(t *testing.T, options Options, out contract.Output, sources ...*fakeSource) (*Engine, func()) {
	t.Helper()
	var all []contract.Source
	for _, source := range sources {
		all = append(all, source)
	}
	return startSources(t, options, out, all)
}

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

func eventually[T any](t *testing.T, want T, got func() T) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		value := got()
		diff := cmp.Diff(want, value)
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		time.Sleep(time.Millisecond)
	}
}
