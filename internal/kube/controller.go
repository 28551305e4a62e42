package kube

import (
	"context"
	"math"
	"time"

	"github.com/go-logr/logr"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// A failed service is tried again after firstRetry, then each time after twice as long up to lastRetry. The
	// upper bound is what an API server that comes back has to wait for our writes.
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
	// refusedRetry is for what the API server refused for a reason that lies in the object.
	refusedRetry = 5 * time.Minute
	// scoutRetry is for one of the services that miss the same right.
	scoutRetry = 5 * time.Second
)

// newController makes a controller whose requests are names of services. It runs on every replica, so that a
// new leader starts with all it must know; whoever doesn't lead writes nothing.
func (o *Output) newController(ctx context.Context) (controller.TypedController[mesh.Name], error) {
	unique := false
	c, err := controller.NewTypedUnmanaged("service", controller.TypedOptions[mesh.Name]{
		SkipNameValidation:      new(!unique),
		MaxConcurrentReconciles: o.options.Writers,
		Reconciler:              reconcile.TypedFunc[mesh.Name](o.Reconcile),
		// An API server that is away while we start is waited for, as it is at any other time.
		CacheSyncTimeout: math.MaxInt64,
		RateLimiter:      workqueue.NewTypedItemExponentialFailureRateLimiter[mesh.Name](firstRetry, lastRetry),
		// What goes wrong is logged by Reconcile, once and in our words.
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
	if o.rules {
		sources = append(sources, source.TypedKind(o.cache, &networkingv1.DestinationRule{}, objectHandler[*networkingv1.DestinationRule](o)))
	}
	for _, s := range sources {
		if err := c.Watch(s); err != nil {
			return nil, err
		}
	}
	return c, o.memory.watch(ctx)
}

// connect opens the way from Notify to the controller's queue.
func (o *Output) connect(ctx context.Context, queue workqueue.TypedRateLimitingInterface[mesh.Name]) error {
	go func() {
		if o.cache.WaitForCacheSync(ctx) && toolscache.WaitForCacheSync(ctx.Done(), o.handled...) {
			if err := o.readClaims(ctx); err != nil {
				o.log.Error("can't read which hosts others have", "error", err)
			}
			o.queue.Store(&queue)
			close(o.read)
			o.lookAtAll()
		}
	}()
	return nil
}

// objectHandler queues the service that an object was written for whenever the object changes.
func objectHandler[T client.Object](o *Output) handler.TypedFuncs[T, mesh.Name] {
	add := func(ctx context.Context, object client.Object, queue workqueue.TypedRateLimitingInterface[mesh.Name]) {
		if kindOf(object) == mesh.ServiceEntryKind && o.asideOurs {
			o.readClaim(ctx, client.ObjectKeyFromObject(object))
		}
		if name, ok := serviceOf(object); ok {
			queue.Add(name)
		}
	}
	return handler.TypedFuncs[T, mesh.Name]{
		CreateFunc: func(ctx context.Context, e event.TypedCreateEvent[T], q workqueue.TypedRateLimitingInterface[mesh.Name]) {
			add(ctx, e.Object, q)
			o.follow(e.Object)
		},
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[T], q workqueue.TypedRateLimitingInterface[mesh.Name]) {
			add(ctx, e.ObjectNew, q)
			o.follow(e.ObjectNew)
		},
		DeleteFunc: func(ctx context.Context, e event.TypedDeleteEvent[T], q workqueue.TypedRateLimitingInterface[mesh.Name]) {
			o.ledger.forget(e.Object)
			add(ctx, e.Object, q)
		},
	}
}
