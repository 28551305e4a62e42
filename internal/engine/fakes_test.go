package engine

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// fakeSource is a source that a test controls.
type fakeSource struct {
	name string
	// steps are functions that Run calls with its sink.
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

// report reports services. It returns when the engine has received them.
func (s *fakeSource) report(services ...catalog.Service) {
	s.steps <- func(sink catalog.Sink) {
		for _, service := range services {
			sink.Update(service, time.Now())
		}
	}
}

// syncPartially reports that the source has reported all that it can read.
func (s *fakeSource) syncPartially() {
	s.steps <- func(sink catalog.Sink) { sink.Synced(s.name, false) }
}

// sync reports that the source has reported its complete content.
func (s *fakeSource) sync() { s.steps <- func(sink catalog.Sink) { sink.Synced(s.name, true) } }

// disconnectable is a source whose connection to the registry can be cut.
type disconnectable struct {
	*fakeSource
	cut atomic.Bool
}

func (d *disconnectable) Connected(context.Context) error {
	if d.cut.Load() {
		return errors.New("cut off")
	}
	return nil
}

// fakeOutput is an output that records the desired objects of each notification.
type fakeOutput struct {
	names  chan mesh.Name
	synced chan struct{}

	// mu guards the fields below.
	mu sync.Mutex
	// held are the names of the objects of each service.
	held map[mesh.Name][]string
	// writes counts the notifications.
	writes int
	// err is the result of Ready.
	err error
}

func newFakeOutput() *fakeOutput {
	return &fakeOutput{names: make(chan mesh.Name, 1000), synced: make(chan struct{}, 10), held: map[mesh.Name][]string{}}
}

func (o *fakeOutput) Notify(name mesh.Name) { o.names <- name }
func (o *fakeOutput) Synced()               { o.synced <- struct{}{} }

func (o *fakeOutput) Ready() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

func (o *fakeOutput) Run(ctx context.Context, state contract.State) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.synced:
		case name := <-o.names:
			o.write(name, state)
		}
	}
}

func (o *fakeOutput) write(name mesh.Name, state contract.State) {
	desired := state.Desired(name)
	o.mu.Lock()
	o.writes++
	o.held[name] = nil
	for _, object := range desired.Objects {
		o.held[name] = append(o.held[name], object.Name)
	}
	if len(o.held[name]) == 0 {
		delete(o.held, name)
	}
	o.mu.Unlock()
	state.Written(name, desired.Revision)
}

// labels returns the labels of the recorded services, sorted.
func (o *fakeOutput) labels() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	labels := []string{}
	for name := range o.held {
		labels = append(labels, name.Label)
	}
	slices.Sort(labels)
	return labels
}

// count returns the number of notifications.
func (o *fakeOutput) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writes
}

// immediateOutput is an output that reads the desired state during the notification.
type immediateOutput struct {
	contract.Output
	engine *Engine
	held   map[mesh.Name][]mesh.Object
}

func (o *immediateOutput) Notify(name mesh.Name) {
	if o.held == nil {
		o.held = map[mesh.Name][]mesh.Object{}
	}
	o.held[name] = o.engine.Desired(name).Objects
	if len(o.held[name]) == 0 {
		delete(o.held, name)
	}
}

// fakeStore is a store in memory.
type fakeStore struct {
	// mu guards services, synced, holds, addresses and pods.
	mu        sync.Mutex
	services  map[catalog.Key]catalog.Service
	synced    map[string]bool
	holds     map[string]guard.Hold
	addresses map[mesh.Name][]netip.Addr
	pods      map[mesh.Name]netip.Addr
	// partial reports whether snapshots are for comparison only: no source in them is complete.
	partial bool
	// released receives the sources whose held removals an operator releases.
	released chan string
}

func newFakeStore() *fakeStore {
	return &fakeStore{
		services: map[catalog.Key]catalog.Service{}, synced: map[string]bool{},
		addresses: map[mesh.Name][]netip.Addr{}, pods: map[mesh.Name]netip.Addr{}, released: make(chan string, 1),
	}
}

func (s *fakeStore) Load(context.Context) (contract.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := contract.Snapshot{
		Services: slices.Collect(maps.Values(s.services)), Holds: s.holds,
		Addresses: maps.Clone(s.addresses), PodAddresses: maps.Clone(s.pods), Changed: time.Unix(1, 0),
	}
	if !s.partial {
		snapshot.CompleteSources = slices.Sorted(maps.Keys(s.synced))
	}
	return snapshot, nil
}

func (s *fakeStore) Save(change contract.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, service := range change.Services {
		if len(service.Instances) == 0 {
			delete(s.services, service.Key)
		} else {
			s.services[service.Key] = service
		}
	}
	for _, source := range change.Gone {
		maps.DeleteFunc(s.services, func(key catalog.Key, _ catalog.Service) bool { return key.Source == source })
		delete(s.synced, source)
	}
	if change.Synced != "" {
		s.synced[change.Synced] = true
	}
	for name, addresses := range change.Addresses {
		if s.addresses[name] = addresses; len(addresses) == 0 {
			delete(s.addresses, name)
		}
	}
	for name, address := range change.PodAddresses {
		if s.pods[name] = address; !address.IsValid() {
			delete(s.pods, name)
		}
	}
	if change.Holds != nil {
		s.holds = change.Holds
	}
}

func (s *fakeStore) Run(ctx context.Context, feedback contract.Feedback) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case source := <-s.released:
			feedback.Release(source)
		}
	}
}

// liveStore is a fakeStore whose snapshots contain live objects.
type liveStore struct {
	*fakeStore
	live map[mesh.Name][]mesh.Object
}

func (s liveStore) Load(ctx context.Context) (contract.Snapshot, error) {
	snapshot, err := s.fakeStore.Load(ctx)
	snapshot.Live = s.live
	return snapshot, err
}
