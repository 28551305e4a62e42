package xds

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/testutil"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	entryType    = "networking.istio.io/v1/ServiceEntry"
	workloadType = "networking.istio.io/v1/WorkloadEntry"
)

// splitName splits the name of a resource into the namespace and the name of the object.
func splitName(name string) (namespace, object string) {
	namespace, object, _ = strings.Cut(name, "/")
	return namespace, object
}

// webEntry returns a ServiceEntry with inline endpoints.
func webEntry(label string, addresses ...string) mesh.Object {
	spec := &networking.ServiceEntry{Hosts: []string{label + ".service.consul"}, Resolution: networking.ServiceEntry_STATIC}
	for _, address := range addresses {
		spec.Endpoints = append(spec.Endpoints, &networking.WorkloadEntry{Address: address})
	}
	return mesh.Object{Kind: mesh.ServiceEntryKind, Namespace: "ns", Name: label + ".consul", Spec: spec}
}

// workload returns a WorkloadEntry.
func workload(label, id, address string) mesh.Object {
	return mesh.Object{
		Kind: mesh.WorkloadEntryKind, Namespace: "ns", Name: label + "-" + id + ".consul",
		Spec: &networking.WorkloadEntry{Address: address},
	}
}

// nameOf returns the name of a service.
func nameOf(label string) mesh.Name { return mesh.Name{Source: "consul", Label: label} }

// fakeState is a contract.State that a test changes.
type fakeState struct {
	mu       sync.Mutex
	complete bool
	desired  map[mesh.Name][]mesh.Object
	revision uint64
}

func (s *fakeState) Desired(name mesh.Name) contract.Desired {
	s.mu.Lock()
	defer s.mu.Unlock()
	return contract.Desired{Resources: mesh.Resources{Objects: s.desired[name]}, Authoritative: s.complete, Revision: s.revision}
}

func (s *fakeState) Names() []mesh.Name {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []mesh.Name
	for name := range s.desired {
		names = append(names, name)
	}
	return names
}

func (s *fakeState) Restored() bool { return s.Complete() }

func (s *fakeState) Complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.complete
}

func (s *fakeState) Written(mesh.Name, uint64) time.Time { return time.Time{} }

// set sets the objects of a service. No objects remove the service.
func (s *fakeState) set(label string, objects ...mesh.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.desired == nil {
		s.desired = map[mesh.Name][]mesh.Object{}
	}
	s.revision++
	if s.desired[nameOf(label)] = objects; len(objects) == 0 {
		delete(s.desired, nameOf(label))
	}
}

// finish completes the initial sync.
func (s *fakeState) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complete = true
}

// serving is an output that runs during a test.
type serving struct {
	*Output
	*fakeState
	log  *testbed.Log
	stop func()
}

// serve runs an output on a free port until the test ends.
func serve(t *testing.T, state *fakeState, options Options) *serving {
	t.Helper()
	s := &serving{fakeState: state, log: &testbed.Log{}}
	options.Log = slog.New(slog.NewTextHandler(s.log, nil))
	options.Metrics = NewMetrics(prometheus.NewRegistry())
	if options.Address == "" {
		options.Address = "127.0.0.1:0"
	}
	var err error
	if s.Output, err = New(options); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, state) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// change sets the objects of a service and notifies the output.
func (s *serving) change(label string, objects ...mesh.Object) {
	s.set(label, objects...)
	s.Notify(nameOf(label))
}

// completeSync completes the initial sync and notifies the output.
func (s *serving) completeSync() {
	s.finish()
	s.Synced()
}

// eventually waits until ok returns true.
func eventually(t *testing.T, ok func() bool, failure string) {
	t.Helper()
	testutil.EventuallyTrue(t, failure, ok)
}
