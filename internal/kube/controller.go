package kube

import (
	"context"
	"math"
	"time"

	"github.com/go-logr/logr"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// minRetry is the delay of the first retry of a failed service. Each further delay is twice as long, up to maxRetry.
	minRetry = 50 * time.Millisecond
	// maxRetry is also how long an API server that is back waits for our writes.
	maxRetry = 2 * time.Second
	// rejectedRetry is the delay after a permanent error.
	rejectedRetry = 5 * time.Minute
	// canaryRetry is the delay for the one service that finds out when a missing permission is granted.
	canaryRetry = 5 * time.Second
)

// newController returns a controller whose requests are names of services. It runs on every replica, so a new leader
// starts with all caches filled.
func (o *Output) newController(ctx context.Context) (controller.TypedController[mesh.Name], error) {
	c, err := controller.NewTypedUnmanaged("service", controller.TypedOptions[mesh.Name]{
		SkipNameValidation:      new(true),
		MaxConcurrentReconciles: o.options.Writers,
		Reconciler:              reconcile.TypedFunc[mesh.Name](o.Reconcile),
		// If the API server is unreachable at the start, the controller waits for it, as it does at any other time.
		CacheSyncTimeout: math.MaxInt64,
		RateLimiter:      workqueue.NewTypedItemExponentialFailureRateLimiter[mesh.Name](minRetry, maxRetry),
		// writeErrors logs failures, once for each cause.
		LogConstructor: func(*mesh.Name) logr.Logger { return logr.Discard() },
	})
	if err != nil {
		return nil, err
	}
	sources := []source.TypedSource[mesh.Name]{
		source.TypedKind(o.cache, &networkingv1.ServiceEntry{}, objectHandler[*networkingv1.ServiceEntry](o)),
		source.TypedKind(o.cache, &networkingv1.WorkloadEntry{}, objectHandler[*networkingv1.WorkloadEntry](o)),
		source.TypedFunc[mesh.Name](o.connect),
	}
	if o.watchesRules {
		sources = append(sources, source.TypedKind(o.cache, &networkingv1.DestinationRule{}, objectHandler[*networkingv1.DestinationRule](o)))
	}
	for _, s := range sources {
		if err := c.Watch(s); err != nil {
			return nil, err
		}
	}
	return c, o.holds.Watch(ctx, o.cache)
}

// connect ends the starting phase when the caches are synced: from then on Notify reaches the queue of the controller.
func (o *Output) connect(ctx context.Context, queue workqueue.TypedRateLimitingInterface[mesh.Name]) error {
	go func() {
		if o.cache.WaitForCacheSync(ctx) && o.watcher.Sync(ctx) {
			o.updateRole(func(r *role) { r.queue = queue })
			close(o.read)
			o.queueAll()
		}
	}()
	return nil
}

// objectHandler queues the service of an object when the object changes.
func objectHandler[T client.Object](o *Output) handler.TypedFuncs[T, mesh.Name] {
	add := func(ctx context.Context, live client.Object, queue workqueue.TypedRateLimitingInterface[mesh.Name]) {
		o.watcher.UpdateOwn(ctx, live)
		if name, ok := object.ServiceOf(live); ok {
			queue.Add(name)
		}
	}
	return handler.TypedFuncs[T, mesh.Name]{
		CreateFunc: func(ctx context.Context, e event.TypedCreateEvent[T], q workqueue.TypedRateLimitingInterface[mesh.Name]) {
			add(ctx, e.Object, q)
			o.reportLeaderAddresses(e.Object)
		},
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[T], q workqueue.TypedRateLimitingInterface[mesh.Name]) {
			add(ctx, e.ObjectNew, q)
			o.reportLeaderAddresses(e.ObjectNew)
		},
		DeleteFunc: func(ctx context.Context, e event.TypedDeleteEvent[T], q workqueue.TypedRateLimitingInterface[mesh.Name]) {
			o.expectations.observeDelete(e.Object)
			add(ctx, e.Object, q)
		},
	}
}
