// Package kube writes the mesh's resources to a Kubernetes API: it makes the ServiceEntries and WorkloadEntries
// there equal to what the state says, service by service.
//
// The API server's content is watched, so what nobody changed costs no request, what somebody else changed is
// healed at once, and a restart writes nothing. What isthmus didn't write is never touched, whatever its name
// or labels: ours is what the API server itself says was applied by the field owner "isthmus".
package kube

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// FieldOwner is the name by which the API server knows what isthmus applied.
const FieldOwner = "isthmus"

// Options say where and how to write.
type Options struct {
	// REST is how to reach the API server. Its own limit of requests a second is replaced by WritesPerSecond.
	REST      *rest.Config
	Placement mesh.Placement
	// DestinationRules says that there may be some to write. Without it, the right to is not needed.
	DestinationRules bool
	// Sources are the names of the registries that are ours: what isthmus wrote for others is somebody else's.
	Sources []string
	// WritesPerSecond bounds the requests to the API server; 0 leaves the bound to the server.
	WritesPerSecond float64
	// Writers is how many services are written at the same time.
	Writers int
	// Grace is how long the ServiceEntry of a service that left stays, without endpoints.
	Grace time.Duration
	// Addresses are the ranges of the virtual addresses.
	Addresses vip.Options
	// Holds is the ConfigMap that says which removals are held.
	Holds client.ObjectKey
	// Election is how replicas agree which of them writes; nil where there is only one.
	Election *Election
	Log      *slog.Logger
	Metrics  *Metrics
}

// Output is the bridge.Output of the Kubernetes API. Make one with New.
type Output struct {
	options Options
	log     *slog.Logger
	metrics *Metrics
	http    *http.Client
	client  client.Client
	cache   cache.Cache

	state  contract.State
	queue  atomic.Pointer[queue]
	term   atomic.Pointer[context.Context]
	ledger ledger
	links  links
	memory *Memory
	// everywhere watches what others have in the whole cluster, as far as that may be seen; handled tell whether all that
	// is there is known. asideOurs says that it leaves out the namespaces that are ours to write.
	everywhere                cache.Cache
	seesEntries, seesServices bool
	asideOurs                 bool
	handled                   []toolscache.InformerSynced
	neighbours                neighbours
	occupied                  occupied
	// listener is told of hosts and virtual addresses; nil before it listens.
	listener atomic.Pointer[contract.Feedback]
	// reading keeps readClaim's order.
	reading sync.Mutex
	// rules says that DestinationRules are watched.
	rules bool
	// read is closed once the API server's content is in the cache.
	read chan struct{}
	// renewed is when the lease was renewed last; nil without an election.
	renewed  atomic.Pointer[time.Time]
	quarrels quarrels
	// standby says that this replica doesn't lead, but could.
	standby atomic.Bool

	mu sync.Mutex
	// held says in which namespace the services are that have WorkloadEntries there, crowd counts them by namespace;
	// departed says since when others should have none.
	held     map[mesh.Name]string
	crowd    map[string]int
	departed map[mesh.Name]time.Time
	// first are the services of the first whole content that wait for their first write; nil before it is known.
	first  map[mesh.Name]bool
	warned bool
}

type queue = workqueue.TypedRateLimitingInterface[mesh.Name]

// New checks the options and makes an output. It asks nothing of the API server.
func New(options Options) (*Output, error) {
	config := rest.CopyConfig(options.REST)
	config.QPS = -1
	if options.WritesPerSecond > 0 {
		// One for all: left to themselves, the clients of each kind would count apart.
		config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(
			float32(options.WritesPerSecond), max(1, int(options.WritesPerSecond)))
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return overload{next} })
	options.REST = config
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("kubernetes client: %w", err)
	}
	o := &Output{
		options: options, log: options.Log, metrics: options.Metrics, http: httpClient,
		read: make(chan struct{}), neighbours: newNeighbours(), occupied: newOccupied(),
		held: map[mesh.Name]string{}, crowd: map[string]int{}, departed: map[mesh.Name]time.Time{},
		links:    links{log: options.Log, metrics: options.Metrics},
		quarrels: quarrels{log: options.Log, rewrites: options.Metrics.rewrites},
	}
	o.memory = &Memory{output: o, wake: contract.NewSignal(), at: options.Holds, told: map[string]begins{}, obeyed: map[string]int{}}
	o.client, err = client.New(config, client.Options{HTTPClient: httpClient, Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("kubernetes client: %w", err)
	}
	return o, nil
}

// Notify implements bridge.Output.
func (o *Output) Notify(name mesh.Name) {
	if queue := o.queue.Load(); queue != nil {
		(*queue).Add(name)
	}
}

// Synced implements bridge.Output.
func (o *Output) Synced() {
	if o.queue.Load() != nil {
		o.lookAtAll()
	}
}

// Ready implements bridge.Output. A replica that doesn't lead is ready as soon as it could take over.
func (o *Output) Ready() error {
	if o.queue.Load() == nil {
		return fmt.Errorf("kubernetes: the API server has not been read yet")
	}
	complete := o.state.Complete()
	o.mu.Lock()
	defer o.mu.Unlock()
	switch leading := o.term.Load() != nil; {
	case !leading && !o.standby.Load():
		return fmt.Errorf("kubernetes: no replica has been elected yet")
	case leading && complete && o.first == nil:
		return fmt.Errorf("kubernetes: the whole content has just become known, and waits for its first write")
	case leading && complete && len(o.first) > 0:
		return fmt.Errorf("kubernetes: %d services wait for their first write", len(o.first))
	}
	return nil
}

// Run implements bridge.Output. It returns an error only for what a retry can't mend.
func (o *Output) Run(ctx context.Context, state contract.State) error {
	o.state = state
	namespaces, err := o.prepare(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	if o.cache, err = o.newCache(ctx, namespaces); err != nil {
		return fmt.Errorf("kubernetes cache: %w", err)
	}
	if err := o.watchNeighbours(ctx, namespaces); err != nil {
		return fmt.Errorf("kubernetes cache: %w", err)
	}
	controller, err := o.newController(ctx)
	if err != nil {
		return fmt.Errorf("kubernetes controller: %w", err)
	}
	// The lease outlives the writers: it is released only when the last of them has stopped.
	electing, stopElecting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopElecting()
	var election errgroup.Group
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return o.cache.Start(running) })
	group.Go(func() error { return o.everywhere.Start(running) })
	group.Go(func() error { return controller.Start(running) })
	election.Go(func() error { return o.lead(electing) })
	if err = group.Wait(); ctx.Err() != nil {
		err = nil // who is stopped in the middle of a start has not failed
	}
	stopElecting()
	if electionErr := election.Wait(); err == nil {
		err = electionErr
	}
	return err
}

// lookAtAll queues every service that should have objects, and every one that has some.
func (o *Output) lookAtAll() {
	queue := *o.queue.Load()
	names := o.state.Names()
	if o.state.Complete() {
		o.mu.Lock()
		if o.first == nil {
			o.first = make(map[mesh.Name]bool, len(names))
			for _, name := range names {
				o.first[name] = true
			}
		}
		o.mu.Unlock()
	}
	for _, name := range names {
		queue.Add(name)
	}
	standing, err := o.standingNames(context.Background())
	if err != nil {
		o.log.Error("can't list what stands in the mesh", "error", err)
		return
	}
	for name := range standing {
		queue.Add(name)
	}
}
