package conflict

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// MaxExcludedNamespaces limits how many namespaces a field selector names, so that no proxy rejects the URL as too long.
const MaxExcludedNamespaces = 32

// MessagePermissionMissing reports that isthmus may not see a kind of object in all namespaces.
const MessagePermissionMissing = "permission to list and watch in all namespaces missing, conflicts with these objects are not detected"

// Watcher keeps a Detector up to date with the ServiceEntries and Services of the cluster, as far as isthmus may see
// them. Call CheckAccess, Setup and Start, in this order.
type Watcher struct {
	detector *Detector
	log      *slog.Logger
	// canListEntries reports whether isthmus may list ServiceEntries in all namespaces.
	canListEntries bool
	// canListServices reports whether isthmus may list Services in all namespaces.
	canListServices bool
	// excludeOwnNamespaces reports whether clusterCache leaves out the ServiceEntries of our own namespaces.
	excludeOwnNamespaces bool
	// ownCache holds the ServiceEntries of our own namespaces.
	ownCache cache.Cache
	// clusterCache holds the other ServiceEntries and all Services.
	clusterCache cache.Cache
	// handlers report whether the detector has all objects of clusterCache.
	handlers []toolscache.InformerSynced

	// ownMu serializes updates from ownCache, so that the newest state of an object is the last one that the detector
	// gets. Lock order: ownMu, then the locks of the Index, the Detector and the engine's mailbox.
	ownMu sync.Mutex
}

// NewWatcher returns a watcher for a detector.
func NewWatcher(detector *Detector, log *slog.Logger) *Watcher {
	return &Watcher{detector: detector, log: log}
}

// CheckAccess finds out which objects isthmus may see, and logs the permissions that are missing.
func (w *Watcher) CheckAccess(ctx context.Context, c client.Client) error {
	for _, kind := range []struct {
		list     client.ObjectList
		allowed  *bool
		resource string
	}{
		{&networkingv1.ServiceEntryList{}, &w.canListEntries, "serviceentries"},
		{&corev1.ServiceList{}, &w.canListServices, "services"},
	} {
		err := c.List(ctx, kind.list, client.Limit(1))
		switch {
		case apierrors.IsForbidden(err):
			w.log.Info(MessagePermissionMissing,
				"kind", kind.resource, "hint", "apply deploy/rbac-conflicts.yaml")
		case err != nil:
			return fmt.Errorf("list %s in all namespaces: %w", kind.resource, err)
		}
		*kind.allowed = err == nil
	}
	return nil
}

// CacheOptions configure the cache of a Watcher.
type CacheOptions struct {
	REST         *rest.Config
	HTTP         *http.Client
	OnWatchError toolscache.WatchErrorHandlerWithContext
	// OwnCache holds the ServiceEntries of OwnNamespaces.
	OwnCache      cache.Cache
	OwnNamespaces []string
}

// Setup creates the cache of the whole cluster. ServiceEntries of our own namespaces are read from OwnCache instead:
// an object that two caches watch is decoded and held twice.
func (w *Watcher) Setup(ctx context.Context, options CacheOptions) error {
	w.ownCache = options.OwnCache
	selector := fields.Everything()
	w.excludeOwnNamespaces = !w.canListEntries || len(options.OwnNamespaces) <= MaxExcludedNamespaces
	if w.excludeOwnNamespaces {
		for _, namespace := range options.OwnNamespaces {
			selector = fields.AndSelectors(selector, fields.OneTermNotEqualSelector("metadata.namespace", namespace))
		}
	}
	clusterCache, err := cache.New(options.REST, cache.Options{
		HTTPClient: options.HTTP, Scheme: object.Scheme, Mapper: object.Mapper,
		DefaultTransform: stripUnused, DefaultWatchErrorHandler: options.OnWatchError,
		ByObject: map[client.Object]cache.ByObject{&networkingv1.ServiceEntry{}: {Field: selector}},
	})
	if err != nil {
		return err
	}
	w.clusterCache = clusterCache
	if w.canListEntries {
		if err := w.handle(ctx, &networkingv1.ServiceEntry{}); err != nil {
			return err
		}
	}
	if w.canListServices {
		return w.handle(ctx, &corev1.Service{})
	}
	return nil
}

func (w *Watcher) handle(ctx context.Context, kind client.Object) error {
	informer, err := w.clusterCache.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(live any) { w.update(live, false) },
		UpdateFunc: func(_, live any) { w.update(live, false) },
		DeleteFunc: func(live any) { w.update(live, true) },
	})
	if err == nil {
		w.handlers = append(w.handlers, registration.HasSynced)
	}
	return err
}

// Start watches the cluster until ctx ends.
func (w *Watcher) Start(ctx context.Context) error { return w.clusterCache.Start(ctx) }

// Sync waits until the detector knows all foreign objects. OwnCache must be synced before. It reports whether it did so
// before ctx ended.
func (w *Watcher) Sync(ctx context.Context) bool {
	if !toolscache.WaitForCacheSync(ctx.Done(), w.handlers...) {
		return false
	}
	if err := w.updateAllOwn(ctx); err != nil {
		w.log.Error("reading foreign ServiceEntries failed, conflicts with them are not detected", "error", err)
	}
	w.detector.MarkSynced()
	return true
}

func (w *Watcher) updateAllOwn(ctx context.Context) error {
	if !w.excludeOwnNamespaces {
		return nil
	}
	var entries networkingv1.ServiceEntryList
	if err := w.ownCache.List(ctx, &entries, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list ServiceEntries from the cache: %w", err)
	}
	for _, entry := range entries.Items {
		w.UpdateOwn(ctx, entry)
	}
	return nil
}

// UpdateOwn takes a change of an object in OwnCache. It reads the newest state of the object from there.
func (w *Watcher) UpdateOwn(ctx context.Context, changed client.Object) {
	if object.KindOf(changed) == mesh.ServiceEntryKind && w.excludeOwnNamespaces {
		w.updateOwn(ctx, client.ObjectKeyFromObject(changed))
	}
}

func (w *Watcher) updateOwn(ctx context.Context, key client.ObjectKey) {
	w.ownMu.Lock()
	defer w.ownMu.Unlock()
	var entry networkingv1.ServiceEntry
	err := w.ownCache.Get(ctx, key, &entry)
	if apierrors.IsNotFound(err) {
		entry.Namespace, entry.Name = key.Namespace, key.Name
	} else if err != nil {
		return // The cache has stopped.
	}
	w.update(&entry, err != nil)
}

// update passes the state of an object to the detector.
func (w *Watcher) update(changed any, deleted bool) {
	if tombstone, ok := changed.(toolscache.DeletedFinalStateUnknown); ok {
		changed = tombstone.Obj
	}
	live, ok := changed.(client.Object)
	if !ok {
		return
	}
	foreign, isForeign := w.detector.options.Parse(live)
	if deleted || !isForeign {
		foreign.hosts, foreign.addresses = nil, nil
	}
	w.detector.Update(foreign)
}
