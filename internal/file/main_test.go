package file

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a contract.State that a test controls.
type world struct {
	mu       sync.Mutex
	desired  map[mesh.Name]contract.Desired
	known    map[string]bool
	complete bool
	revision uint64
	written  map[mesh.Name]uint64
}

// newWorld returns a world with one source, "dc1", that is complete.
func newWorld() *world {
	return &world{
		desired: map[mesh.Name]contract.Desired{}, known: map[string]bool{"dc1": true}, complete: true,
		written: map[mesh.Name]uint64{},
	}
}

func (w *world) Desired(name mesh.Name) contract.Desired {
	w.mu.Lock()
	defer w.mu.Unlock()
	if desired, ok := w.desired[name]; ok {
		return desired
	}
	return contract.Desired{Authoritative: w.known[name.Source]}
}

func (w *world) Names() []mesh.Name { panic("unexpected call") }

func (w *world) Restored() bool { return w.Complete() }

func (w *world) Complete() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.complete
}

func (w *world) Written(name mesh.Name, revision uint64) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written[name] = revision
	return time.Time{}
}

// want sets the desired objects of a service. No objects remove it.
func (w *world) want(name mesh.Name, objects ...mesh.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revision++
	if len(objects) == 0 {
		delete(w.desired, name)
		return
	}
	w.desired[name] = contract.Desired{
		Resources: mesh.Resources{Objects: objects}, Authoritative: true, Revision: w.revision,
	}
}

func (w *world) setComplete(complete bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complete = complete
}

// holds reports whether the output reported a write of the newest revision of the service.
func (w *world) holds(name mesh.Name) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	desired, ok := w.desired[name]
	return ok && w.written[name] == desired.Revision
}

func named(label string) mesh.Name { return mesh.Name{Source: "dc1", Label: label} }

func serviceEntry(namespace string, name mesh.Name, host string) mesh.Object {
	return mesh.Object{
		Kind: mesh.ServiceEntryKind, Namespace: namespace, Name: name.ServiceEntry(),
		Labels: map[string]string{"app": name.Label}, Spec: &networking.ServiceEntry{Hosts: []string{host}},
	}
}

func workloadEntry(namespace, name, address string) mesh.Object {
	return mesh.Object{
		Kind: mesh.WorkloadEntryKind, Namespace: namespace, Name: name,
		Spec: &networking.WorkloadEntry{Address: address},
	}
}

// start runs an output until the test ends or stop is called. stop returns the result of Run.
func start(t *testing.T, out contract.Output, state contract.State) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- out.Run(ctx, state) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-result
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

// runs is start for an output that must not fail.
func runs(t *testing.T, out contract.Output, state contract.State) (stop func() error) {
	t.Helper()
	stop = start(t, out, state)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return stop
}

// failure runs an output that must fail, and returns its error.
func failure(t *testing.T, out contract.Output, state contract.State) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := out.Run(ctx, state)
	if err == nil {
		t.Fatal("no error")
	}
	return err
}

// eventually waits until ok returns true.
func eventually(t *testing.T, message string, ok func() bool) {
	t.Helper()
	testutil.EventuallyTrue(t, message, ok)
}

func ready(t *testing.T, out contract.Output) {
	t.Helper()
	eventually(t, "the output is ready", func() bool { return out.Ready() == nil })
}
