package holdstatus

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/logonce"
	"github.com/isthmus-mesh/isthmus/internal/wait"
)

const (
	// interval is the time between two writes of the ConfigMap: while instances go, every report changes the counts.
	interval = 500 * time.Millisecond
	// retryInterval is the time after a write that failed.
	retryInterval = 2 * time.Second
	// conflictsUntilError is the number of conflicts in a row that the log reports as an error.
	conflictsUntilError = 5
)

// Options configure a Reconciler.
type Options struct {
	// Client writes the ConfigMap and the events.
	Client client.Client
	// ConfigMap is where the holds are published.
	ConfigMap client.ObjectKey
	// Sources are the names of all sources.
	Sources []string
	Log     *slog.Logger
	// LeaderContext returns the context of the current term as leader, and nil on a replica that does not lead.
	LeaderContext func() context.Context
	// WriteContext bounds a write by the time for which this replica surely leads.
	WriteContext func(ctx context.Context) (context.Context, context.CancelFunc)
	// CountWrite counts a write of the ConfigMap.
	CountWrite func(verb string, err error)
}

// Reconciler keeps the ConfigMap and the holds of this replica in agreement. The package comment has the protocol.
type Reconciler struct {
	options Options
	// Wake has the Reconciler compare the ConfigMap with the holds.
	Wake wait.Signal
	// cache holds the ConfigMap.
	cache cache.Cache

	// The following fields belong to the goroutine of Run.

	// failing is active while the ConfigMap can't be written.
	failing logonce.Condition
	// failures count the attempts since the last success.
	failures int
	// term is the leader context for which pendingReleases and publishedEdition are valid.
	term context.Context
	// pendingReleases has the sources whose release was called for a request that the ConfigMap may still have, with the
	// start of the released hold.
	pendingReleases map[string]time.Time
	// publishedEdition is the edition of the holds that was last written in this term.
	publishedEdition int
	// starts has the start of each published hold, as this replica counts it and as the ConfigMap has it.
	starts map[string]starts
	// pendingEvents are the events that are not created yet.
	pendingEvents []*corev1.Event
	// eventsFailing is active while events can't be created.
	eventsFailing logonce.Condition

	// mu guards the fields below. It is a leaf in the lock order: no other lock is taken while it is held.
	mu sync.Mutex
	// holds are the holds in force on this replica; nil until Restore or Set.
	holds map[string]guard.Hold
	// edition counts the changes of holds.
	edition int
	// released counts the releases of each source that this replica knows.
	released map[string]int
}

// starts are the two starts of one hold.
type starts struct{ local, published time.Time }

// noEdition is no edition of the holds.
const noEdition = -1

// New returns a Reconciler. Call Watch before the cache starts.
func New(options Options) *Reconciler {
	return &Reconciler{
		options: options, Wake: wait.NewSignal(),
		starts: map[string]starts{}, released: map[string]int{},
	}
}

// Watch sets the cache that holds the ConfigMap, and wakes the Reconciler when the ConfigMap changes.
func (r *Reconciler) Watch(ctx context.Context, from cache.Cache) error {
	r.cache = from
	informer, err := from.GetInformer(ctx, &corev1.ConfigMap{}, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { r.Wake.Notify() },
		UpdateFunc: func(any, any) { r.Wake.Notify() },
		DeleteFunc: func(any) { r.Wake.Notify() },
	})
	return err
}

// Restore takes over the published holds and releases, and returns the holds. The cache must be synced.
func (r *Reconciler) Restore(ctx context.Context) (map[string]guard.Hold, error) {
	_, status, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.released = maps.Clone(status.Releases)
	r.mu.Unlock()
	r.Set(status.Holds)
	return maps.Clone(status.Holds), nil
}

// Set replaces the holds in force on this replica. It returns at once.
func (r *Reconciler) Set(holds map[string]guard.Hold) {
	r.mu.Lock()
	r.holds = holds
	r.edition++
	r.mu.Unlock()
	r.Wake.Notify()
}

// Current returns the published holds, or the holds of this replica if the ConfigMap can't be read.
func (r *Reconciler) Current(ctx context.Context) map[string]guard.Hold {
	if _, status, err := r.read(ctx); err == nil {
		return status.Holds
	}
	holds, _ := r.current()
	return holds
}

// current returns the holds in force on this replica and their edition. The holds are nil before they are known.
func (r *Reconciler) current() (holds map[string]guard.Hold, edition int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.holds), r.edition
}

// read returns the ConfigMap from the cache. A ConfigMap that does not exist has no name.
func (r *Reconciler) read(ctx context.Context) (*corev1.ConfigMap, Status, error) {
	var found corev1.ConfigMap
	if err := r.cache.Get(ctx, r.options.ConfigMap, &found); client.IgnoreNotFound(err) != nil {
		return nil, Status{}, err
	}
	status, err := StatusOf(&found)
	return &found, status, err
}

// Run reconciles until ctx ends. It calls release for each hold that an operator or another replica released.
func (r *Reconciler) Run(ctx context.Context, release func(source string)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.Wake:
		}
		pause := r.report(r.Reconcile(ctx, release))
		if ctx.Err() == nil && !r.createEvents(ctx) {
			r.Wake.Notify()
			pause = retryInterval
		}
		if !wait.Sleep(ctx, pause) {
			return
		}
	}
}

// report logs when writing the ConfigMap begins to fail and when it works again. It returns the time until the next
// attempt. A conflict is no failure unless it lasts: the cache will soon have the other write.
func (r *Reconciler) report(err error) time.Duration {
	if err == nil {
		if r.failing.End() {
			r.options.Log.Info(MessagePublishWorks, "name", r.options.ConfigMap.String())
		}
		r.failures = 0
		return interval
	}
	r.Wake.Notify()
	r.failures++
	if (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)) && r.failures < conflictsUntilError {
		return interval
	}
	if r.failing.Begin() {
		r.options.Log.Error(MessagePublishFailed,
			"name", r.options.ConfigMap.String(), "error", err)
	}
	return retryInterval
}
