package kube

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Reconcile makes the API server hold what the state says of one service.
func (o *Output) Reconcile(ctx context.Context, name mesh.Name) (reconcile.Result, error) {
	term := o.term.Load()
	if o.queue.Load() == nil {
		return reconcile.Result{}, nil // what others have isn't known yet; then everything is looked at
	}
	if term == nil {
		// Another replica writes; a new term starts with a look at everything.
		return reconcile.Result{}, o.watchHosts(ctx, name)
	}
	desired := o.state.Desired(name)
	if !desired.Authoritative {
		return reconcile.Result{}, nil
	}
	if wait := o.quarrels.pause(name, desired.Revision); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	// What is being written is given up when isthmus stops or no longer leads.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(*term, cancel)()
	standing, err := o.standing(ctx, name)
	if err != nil {
		return o.failed(name, err)
	}
	w := writer{Output: o, name: name, standing: standing, waiting: desired.PendingSources}
	if w.vacate(ctx, desired.Objects) {
		if desired = o.state.Desired(name); !desired.Authoritative {
			return reconcile.Result{}, nil
		}
	}
	var wait time.Duration
	switch wanted := w.yield(desired.Objects); {
	case len(wanted) > 0:
		o.returned(name)
		err = w.fill(ctx, wanted)
	case len(desired.Objects) > 0:
		err = w.withhold(ctx)
	default:
		wait, err = w.empty(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return reconcile.Result{}, nil
	case err != nil:
		return o.failed(name, err)
	}
	for _, other := range o.links.recovered(name) {
		o.Notify(other)
	}
	o.quarrels.settled(name, desired, w.writes)
	if len(desired.Objects) == 0 && wait == 0 {
		o.quarrels.forget(name)
	}
	o.finished(name, desired, w.writes)
	return reconcile.Result{RequeueAfter: wait}, nil
}

// writer brings one service up to date.
type writer struct {
	*Output
	name     mesh.Name
	standing map[reference]client.Object
	// waiting are the sources whose instances are not all known yet.
	waiting []string
	writes  int
}

// fill applies what differs, the ServiceEntry first, and deletes what is there besides. One refused object
// doesn't keep the others from being written, but what stands in a namespace that the service leaves stays until
// everything stands in the new one.
func (w *writer) fill(ctx context.Context, wanted []mesh.Object) error {
	var errs []error
	for _, object := range wanted {
		at := refer(object)
		standing := w.standing[at]
		delete(w.standing, at)
		errs = append(errs, w.ensure(ctx, object, standing))
	}
	moved := errors.Join(errs...) == nil
	for at, object := range w.standing {
		if w.awaited(object) {
			continue
		}
		if moved || at.namespace == wanted[0].Namespace {
			errs = append(errs, w.remove(ctx, object))
		}
	}
	return errors.Join(errs...)
}

// awaited tells whether an object holds instances of a source that has not reported them yet, so that nobody can say
// that they are gone.
func (w *writer) awaited(standing client.Object) bool {
	if len(w.waiting) == 0 || standing == nil || !ours(standing) {
		return false
	}
	if entry, ok := standing.(*networkingv1.ServiceEntry); ok {
		return len(entry.Spec.Endpoints) > 0
	}
	source := standing.GetAnnotations()[mesh.SourceAnnotation]
	return source == "" || slices.Contains(w.waiting, source)
}

// finished notes that a service is as it should be.
func (o *Output) finished(name mesh.Name, desired contract.Desired, writes int) {
	since := o.state.Written(name, desired.Revision)
	if writes > 0 && !since.IsZero() {
		o.metrics.propagation.Observe(time.Since(since).Seconds())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.firstWritten(name)
	if before, held := o.held[name]; held {
		o.crowd[before]--
		delete(o.held, name)
	}
	if !crowds(desired) {
		return
	}
	namespace := desired.Objects[0].Namespace
	o.held[name] = namespace
	o.crowd[namespace]++
	if o.crowd[namespace] > crowded && !o.warned {
		o.warned = true
		o.log.Warn("many services in one namespace: istiod's work there grows with services times instances; "+
			"set kubernetes.shards, or mesh.endpoints to inline",
			"services", o.crowd[namespace], "namespace", namespace)
	}
}

// crowds tells whether a service costs istiod a look at all WorkloadEntries of its namespace.
func crowds(desired contract.Desired) bool {
	if len(desired.Objects) == 0 {
		return false
	}
	entry, ok := desired.Objects[0].Spec.(*networking.ServiceEntry)
	return ok && entry.WorkloadSelector != nil
}

// crowded is how many services with WorkloadEntries one namespace bears without harm to istiod.
const crowded = 500

func (o *Output) firstWritten(name mesh.Name) {
	if o.first[name] {
		delete(o.first, name)
		if len(o.first) == 0 {
			o.log.Info("the first whole content is written")
		}
	}
}
