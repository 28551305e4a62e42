package configstore

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"istio.io/istio/pilot/pkg/model"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Log messages of Output.
const (
	MsgWaiting     = "waiting for the complete content of every source, istiod serves nothing until then"
	MsgFilled      = "config store filled, istiod serves the services"
	MsgWriteFailed = "writing to the config store failed, keeping the previous object"
)

// errNotFilled is the reason that an Output is not ready.
var errNotFilled = errors.New("config store: the initial sync is not complete")

// Output is a contract.Output that writes to a config store of istiod. Use New to create one.
type Output struct {
	contract.WorkSet

	store *Store
	// written holds the objects of each service in the store. It belongs to the goroutine that calls Run.
	written map[mesh.Name][]mesh.Object
	filled  atomic.Bool
	log     *slog.Logger
	metrics *Metrics
}

var _ contract.Output = (*Output)(nil)

// New creates an output with an empty store.
func New(log *slog.Logger, metrics *Metrics) *Output {
	return &Output{
		WorkSet: contract.NewWorkSet(), store: newStore(), written: map[mesh.Name][]mesh.Object{}, log: log, metrics: metrics,
	}
}

// Store returns the config store to add to istiod's.
func (o *Output) Store() model.ConfigStoreController { return o.store }

// Ready implements contract.Output.
func (o *Output) Ready() error {
	if !o.filled.Load() {
		return errNotFilled
	}
	return nil
}

// Run implements contract.Output. It fills the store once the content of every source is known, and then writes each
// change at once; istiod collects changes before it pushes them.
func (o *Output) Run(ctx context.Context, state contract.State) error {
	if !state.Complete() {
		o.log.Info(MsgWaiting)
	}
	for !state.Complete() {
		if !o.waitForWork(ctx) {
			return nil
		}
	}
	o.write(append(o.Drain(), state.Names()...), state)
	o.filled.Store(true)
	close(o.store.filled)
	o.log.Info(MsgFilled, "services", len(o.written))
	for o.waitForWork(ctx) {
		o.write(o.Drain(), state)
	}
	return nil
}

func (o *Output) waitForWork(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-o.Wake:
		return true
	}
}

// write makes the objects of services in the store equal to the desired ones.
func (o *Output) write(names []mesh.Name, state contract.State) {
	slices.SortFunc(names, mesh.Name.Compare)
	for _, name := range slices.Compact(names) {
		desired := state.Desired(name)
		if !o.replace(name, desired.Objects) {
			continue
		}
		if since := state.Written(name, desired.Revision); !since.IsZero() {
			o.metrics.propagation.Observe(time.Since(since).Seconds())
		}
	}
}

// replace replaces the objects of a service, and reports whether that succeeded. WorkloadEntries are written before the
// ServiceEntry that selects them, and old objects are removed last, so a service that moves to another namespace or form
// always has endpoints.
func (o *Output) replace(name mesh.Name, desired []mesh.Object) bool {
	before := make(map[objectKey]mesh.Object, len(o.written[name]))
	for _, object := range o.written[name] {
		before[keyOf(object)] = object
	}
	ok := true
	for _, object := range slices.Backward(desired) { // the ServiceEntry is the first object
		old, exists := before[keyOf(object)]
		delete(before, keyOf(object))
		if exists && old.Equal(object) {
			continue
		}
		ok = o.check(name, object, o.store.set(object)) && ok
		if !exists {
			o.metrics.objects.WithLabelValues(string(object.Kind)).Inc()
		}
	}
	for _, object := range o.written[name] {
		if _, left := before[keyOf(object)]; left {
			ok = o.check(name, object, o.store.remove(object)) && ok
			o.metrics.objects.WithLabelValues(string(object.Kind)).Dec()
		}
	}
	if o.written[name] = desired; len(desired) == 0 {
		delete(o.written, name)
	}
	return ok
}

// objectKey identifies an object.
type objectKey struct {
	kind            mesh.Kind
	namespace, name string
}

func keyOf(object mesh.Object) objectKey {
	return objectKey{object.Kind, object.Namespace, object.Name}
}

// check logs an error. The store in memory returns one only for an object that it cannot hold.
func (o *Output) check(name mesh.Name, object mesh.Object, err error) bool {
	if err != nil {
		o.log.Error(MsgWriteFailed, "service", name, "kind", object.Kind, "object", object.Namespace+"/"+object.Name, "error", err)
	}
	return err == nil
}
