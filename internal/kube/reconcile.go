package kube

import (
	"context"
	"errors"
	"slices"
	"time"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/kube/conflict"
	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Reconcile makes the live objects of one service equal to its desired objects.
func (o *Output) Reconcile(ctx context.Context, name mesh.Name) (reconcile.Result, error) {
	role := o.role.Load()
	switch role.phase() {
	case starting:
		return reconcile.Result{}, nil // All services are queued when the caches are synced.
	case standby:
		return reconcile.Result{}, o.detectYieldedHosts(ctx, name) // All services are queued when a term begins.
	}
	desired := o.state.Desired(name)
	if !desired.Authoritative {
		return reconcile.Result{}, nil
	}
	if delay := o.driftBackoff.delay(name, desired.Revision); delay > 0 {
		return reconcile.Result{RequeueAfter: delay}, nil
	}
	// Writes end when isthmus stops or the term ends.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(role.leaderCtx, cancel)()
	live, err := o.live(ctx, name)
	if err != nil {
		return o.handleError(name, err)
	}
	w := writer{Output: o, name: name, live: live, pendingSources: desired.PendingSources}
	if o.conflicts.EvictAddresses(ctx, w.service(desired.Objects)) {
		if desired = o.state.Desired(name); !desired.Authoritative {
			return reconcile.Result{}, nil
		}
	}
	requeueAfter, err := w.write(ctx, desired.Objects)
	switch {
	case ctx.Err() != nil:
		return reconcile.Result{}, nil
	case err != nil:
		return o.handleError(name, err)
	}
	o.finish(name, desired, w.writes, requeueAfter)
	return reconcile.Result{RequeueAfter: requeueAfter}, nil
}

// writer writes one service.
type writer struct {
	*Output
	name mesh.Name
	// live are the live objects under the service's names. update takes the desired ones out.
	live map[object.Key]client.Object
	// pendingSources are the sources of which not all instances are known yet.
	pendingSources []string
	// writes counts the writes that succeeded.
	writes int
}

func (w *writer) service(desired []mesh.Object) conflict.Service {
	return conflict.Service{Name: w.name, Desired: desired, Live: w.live}
}

// write updates, removes or drains the service. It returns when the next step of a removal is due; 0 for none.
func (w *writer) write(ctx context.Context, desired []mesh.Object) (requeueAfter time.Duration, err error) {
	switch remaining := w.conflicts.Resolve(w.service(desired)); {
	case len(remaining) > 0:
		w.services.endRemoval(w.name)
		return 0, w.update(ctx, remaining)
	case len(desired) > 0:
		return 0, w.removeAll(ctx) // The service yields all its hosts.
	default:
		return w.drain(ctx)
	}
}

// update applies the objects that differ, the ServiceEntry first, and deletes the others. A rejected object does not
// keep the others from being written. If the service moves to another namespace, the objects in the old one stay until
// all objects in the new one are written. If it moves to another form of endpoints, it has endpoints at each step.
func (w *writer) update(ctx context.Context, desired []mesh.Object) error {
	if w.formWaits(desired[0]) {
		return nil
	}
	if w.losesInlineEndpoints(desired[0]) {
		if err := w.applyWorkloads(ctx, desired[1:]); err != nil {
			return err
		}
	}
	var errs []error
	for _, wanted := range desired {
		errs = append(errs, w.applyOne(ctx, wanted))
	}
	complete := errors.Join(errs...) == nil
	entryFailed := errs[0] != nil
	for key, live := range w.live {
		if w.isSourcePending(live) || entryFailed && w.mayBeSelected(live, desired[0]) {
			continue
		}
		if complete || key.Namespace == desired[0].Namespace {
			errs = append(errs, w.remove(ctx, live))
		}
	}
	return errors.Join(errs...)
}

// applyOne applies an object unless the live object is equal, and takes the latter out of the live objects.
func (w *writer) applyOne(ctx context.Context, wanted mesh.Object) error {
	key := object.KeyOf(wanted)
	live := w.live[key]
	delete(w.live, key)
	return w.applyIfChanged(ctx, wanted, live)
}

// isSourcePending reports whether a live object has instances of a source that has not reported them yet. Then nothing
// is known about their removal.
func (w *writer) isSourcePending(live client.Object) bool {
	if len(w.pendingSources) == 0 || live == nil || !object.IsOurs(live) {
		return false
	}
	if entry, ok := live.(*networkingv1.ServiceEntry); ok {
		return len(entry.Spec.Endpoints) > 0
	}
	source := live.GetAnnotations()[mesh.SourceAnnotation]
	return source == "" || slices.Contains(w.pendingSources, source)
}

// finish notes that the live objects of a service are as desired.
func (o *Output) finish(name mesh.Name, desired contract.Desired, writes int, requeueAfter time.Duration) {
	for _, other := range o.writeErrors.recover(name) {
		o.Notify(other)
	}
	o.driftBackoff.finish(name, desired.Revision, writes)
	if len(desired.Objects) == 0 && requeueAfter == 0 {
		o.driftBackoff.forget(name)
	}
	since := o.state.Written(name, desired.Revision)
	if writes > 0 && !since.IsZero() {
		o.metrics.propagation.Observe(time.Since(since).Seconds())
	}
	o.services.finishInitial(name)
	o.services.setWritten(name, desired)
}
