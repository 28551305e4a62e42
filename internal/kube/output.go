// Package kube is the output that writes ServiceEntries, WorkloadEntries and DestinationRules to a Kubernetes API. It
// keeps the live objects equal to the desired objects, service by service.
//
// It reads live objects from a cache that informers keep up to date. An unchanged object costs no request, drift is
// corrected at once, and a restart writes nothing. It never changes an object that isthmus did not write, even
// under our names or with our labels: an object is ours if the API server's managedFields say that the field owner "isthmus" applied it.
//
//	Notify, informers ──▶ queue ──▶ Reconcile ──▶ apply, remove ──▶ API server
//	                                   │  ▲
//	                                   ▼  │ conflicts, feedback
//	                                conflict        holdstatus ◀──▶ ConfigMap of the holds
//
// The role of a replica (role.go) decides the work of Reconcile: nothing while it is starting, detection of yielded hosts
// on a standby, writes on the leader.
package kube

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/kube/conflict"
	"github.com/isthmus-mesh/isthmus/internal/kube/holdstatus"
	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// Options configure an Output.
type Options struct {
	// REST is how to reach the API server. WritesPerSecond replaces its rate limit.
	REST      *rest.Config
	Placement mesh.Placement
	// DestinationRules reports whether there may be DestinationRules to write. Without it, isthmus needs no permission
	// for them.
	DestinationRules bool
	// Sources are the sources of this isthmus. Objects that isthmus wrote for another source are foreign.
	Sources []string
	// WritesPerSecond limits the requests to the API server; 0 leaves the limit to the server.
	WritesPerSecond float64
	// Writers is how many services are written at the same time.
	Writers int
	// Grace is how long the ServiceEntry of a removed service stays, without endpoints.
	Grace time.Duration
	// Addresses are the ranges of the virtual addresses.
	Addresses vip.Options
	// Holds is the ConfigMap in which held removals are published.
	Holds client.ObjectKey
	// Election configures the leader election of replicas; nil if there is only one replica.
	Election *Election
	Log      *slog.Logger
	Metrics  *Metrics
}

// Output implements contract.Output for a Kubernetes API. Create one with New.
type Output struct {
	options Options
	log     *slog.Logger
	metrics *Metrics
	http    *http.Client
	client  client.Client
	// cache holds the objects in the namespaces of the placement.
	cache cache.Cache
	// state is set by Run.
	state contract.State

	// role is the role of this replica. It is replaced as a whole by updateRole.
	role atomic.Pointer[role]
	// feedback is nil until the engine listens.
	feedback atomic.Pointer[contract.Feedback]
	// read is closed when the caches are synced.
	read chan struct{}
	// watchesRules reports whether DestinationRules are in the cache.
	watchesRules bool

	// services, expectations, writeErrors and driftBackoff each have a mutex of their own. These are leaves in the lock
	// order: no other lock is taken while one of them is held.

	services     services
	expectations expectations
	writeErrors  writeErrors
	driftBackoff driftBackoff

	conflicts *conflict.Detector
	watcher   *conflict.Watcher
	holds     *holdstatus.Reconciler
}

// New checks the options and returns an output. It sends no request.
func New(options Options) (*Output, error) {
	config := rest.CopyConfig(options.REST)
	config.QPS = -1
	if options.WritesPerSecond > 0 {
		// All clients share one limiter. By default, the client of each kind has its own.
		config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(
			float32(options.WritesPerSecond), max(1, int(options.WritesPerSecond)))
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return retryAfterTransport{next} })
	options.REST = config
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("create Kubernetes client: %w", err)
	}
	c, err := client.New(config, client.Options{HTTPClient: httpClient, Scheme: object.Scheme, Mapper: object.Mapper})
	if err != nil {
		return nil, fmt.Errorf("create Kubernetes client: %w", err)
	}
	o := &Output{
		options: options, log: options.Log, metrics: options.Metrics, http: httpClient, client: c,
		read:         make(chan struct{}),
		services:     newServices(options.Log),
		writeErrors:  newWriteErrors(options.Log, options.Metrics),
		driftBackoff: newDriftBackoff(options.Log, options.Metrics.driftCorrections),
	}
	o.role.Store(&role{})
	o.conflicts = conflict.NewDetector(conflict.Options{
		Parser: conflict.Parser{Ranges: options.Addresses, Sources: options.Sources},
		Notify: o.Notify, Log: options.Log, Metrics: options.Metrics.conflicts,
	})
	o.watcher = conflict.NewWatcher(o.conflicts, options.Log)
	o.holds = holdstatus.New(holdstatus.Options{
		Client: c, ConfigMap: options.Holds, Sources: options.Sources, Log: options.Log,
		LeaderContext: func() context.Context { return o.role.Load().leaderCtx },
		WriteContext:  o.writeContext,
		CountWrite:    func(verb string, err error) { o.metrics.countWrite(verb, "ConfigMap", err) },
	})
	return o, nil
}

// Notify implements contract.Output.
func (o *Output) Notify(name mesh.Name) {
	if queue := o.role.Load().queue; queue != nil {
		queue.Add(name)
	}
}

// Synced implements contract.Output.
func (o *Output) Synced() {
	if o.role.Load().phase() != starting {
		o.queueAll()
	}
}

// Ready implements contract.Output. A standby replica is ready as soon as it could take over.
func (o *Output) Ready() error {
	role := o.role.Load()
	switch phase := role.phase(); {
	case phase == starting:
		return fmt.Errorf("kubernetes: the caches are not synced yet")
	case phase == leading:
		return o.services.ready(o.state.Complete())
	case !role.follows:
		return fmt.Errorf("kubernetes: no leader is elected yet")
	}
	return nil
}

// Conflicts returns the conflicts with foreign objects on the replica that leads, sorted by service, and their count. It
// returns at most 100 of them.
func (o *Output) Conflicts() (first []conflict.Conflict, count int) {
	if o.role.Load().phase() != leading {
		return nil, 0
	}
	return o.conflicts.Conflicts()
}

// Run implements contract.Output. It returns an error only for a failure that a retry can't solve.
func (o *Output) Run(ctx context.Context, state contract.State) error {
	o.state = state
	namespaces, err := o.setUp(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	if o.cache, err = o.newCache(ctx, namespaces); err != nil {
		return fmt.Errorf("create Kubernetes cache: %w", err)
	}
	err = o.watcher.Setup(ctx, conflict.CacheOptions{
		REST: o.options.REST, HTTP: o.http, OnWatchError: o.onWatchError, OwnCache: o.cache, OwnNamespaces: namespaces,
	})
	if err != nil {
		return fmt.Errorf("create Kubernetes cache of all namespaces: %w", err)
	}
	controller, err := o.newController(ctx)
	if err != nil {
		return fmt.Errorf("create Kubernetes controller: %w", err)
	}
	// The lease outlives the writers: it is released when the last of them has stopped.
	electionCtx, stopElection := context.WithCancel(context.WithoutCancel(ctx))
	defer stopElection()
	var election errgroup.Group
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return o.cache.Start(groupCtx) })
	group.Go(func() error { return o.watcher.Start(groupCtx) })
	group.Go(func() error { return controller.Start(groupCtx) })
	election.Go(func() error { return o.lead(electionCtx) })
	if err = group.Wait(); ctx.Err() != nil {
		err = nil // A start that was interrupted has not failed.
	}
	stopElection()
	if electionErr := election.Wait(); err == nil {
		err = electionErr
	}
	return err
}

// queueAll queues every service that has desired objects or live objects.
func (o *Output) queueAll() {
	queue := o.role.Load().queue
	names := o.state.Names()
	if o.state.Complete() {
		o.services.startInitialSync(names)
	}
	for _, name := range names {
		queue.Add(name)
	}
	live, err := o.liveNames(context.Background())
	if err != nil {
		o.log.Error("listing live objects failed, objects of removed services stay until the next change", "error", err)
		return
	}
	for name := range live {
		queue.Add(name)
	}
}
