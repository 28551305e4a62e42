package xds

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/wait"
)

// Options configure an Output.
type Options struct {
	// Address is the host:port to listen on. An empty host means all interfaces, port 0 a free port.
	Address string
	// TLS is nil for plain text.
	TLS *TLS
	// Grace is how long the ServiceEntry of a removed service stays without endpoints.
	Grace   time.Duration
	Log     *slog.Logger
	Metrics *Metrics

	// reloadInterval is how often the TLS files are read. 0 means filewatch.Interval.
	reloadInterval time.Duration
	// limits replace the default limits.
	limits *limits
}

// Output is a contract.Output that serves by MCP over xDS. Use New to create one.
type Output struct {
	contract.WorkSet

	store      *store
	server     *server
	snapshot   *snapshot
	migrations migrations
	log        *slog.Logger
	metrics    *Metrics

	// mu guards notReady. It is a leaf: no other lock is acquired while it is held.
	mu sync.Mutex
	// notReady is the reason that the output is not ready; nil while it is ready.
	notReady error
}

var (
	errNotSynced = errors.New("xds: the initial sync is not complete")
	errDraining  = errors.New("xds: the server is stopping")
)

// New opens the port and reads the TLS files. Therefore an error in the options is reported before the sources start.
func New(options Options) (*Output, error) {
	o := &Output{
		WorkSet: contract.NewWorkSet(), store: newStore(), snapshot: newSnapshot(options.Grace), migrations: migrations{},
		log: options.Log, metrics: options.Metrics, notReady: errNotSynced,
	}
	var err error
	o.server, err = listen(options, o.store)
	return o, err
}

// Address returns the address that the server listens on.
func (o *Output) Address() string { return o.server.listener.Addr().String() }

// Ready implements contract.Output. The output is not ready while it stops, so that istiods reconnect to other replicas.
func (o *Output) Ready() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.notReady
}

func (o *Output) setNotReady(reason error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notReady = reason
}

// Run implements contract.Output. When ctx ends, it waits until the clients have received the responses in flight, and
// then closes their streams.
func (o *Output) Run(ctx context.Context, state contract.State) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return o.server.run(ctx) })
	group.Go(func() error {
		o.pushChanges(ctx, state)
		o.setNotReady(errDraining)
		return nil
	})
	return group.Wait()
}

// pushChanges pushes all services once the initial sync is complete, and then each change until ctx ends.
func (o *Output) pushChanges(ctx context.Context, state contract.State) {
	for !state.Complete() {
		if !o.waitForWork(ctx) {
			return
		}
	}
	o.push(append(o.Drain(), state.Names()...), state)
	o.setNotReady(nil)
	for o.waitForWork(ctx) {
		o.debounce(ctx)
		wait.Sleep(ctx, o.store.throttledFor())
		o.push(o.Drain(), state)
	}
}

// waitForWork waits for a change, for a client that needs a push, or for a timer of a removed or migrating service. It
// returns false when ctx has ended.
func (o *Output) waitForWork(ctx context.Context) bool {
	var expired <-chan time.Time
	delay, found := o.snapshot.nextExpiry(time.Now())
	if len(o.migrations) > 0 && (!found || delay > migrationPoll) {
		delay, found = migrationPoll, true
	}
	if found {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-o.Wake:
		return true
	case <-o.store.laggards:
		return true
	case <-expired:
		return true
	}
}

// push publishes the current objects of services as one edition.
func (o *Output) push(names []mesh.Name, state contract.State) {
	var set, remove []*resource
	var partial []mesh.Name
	revisions := make(map[mesh.Name]uint64, len(names))
	now, acked := time.Now(), o.store.ackedEdition()
	names = slices.AppendSeq(append(names, o.snapshot.expired(now)...), maps.Keys(o.migrations))
	slices.SortFunc(names, mesh.Name.Compare)
	for _, name := range slices.Compact(names) {
		if o.migrations.waiting(name, acked, now) {
			continue
		}
		delete(o.migrations, name)
		desired := state.Desired(name)
		changed, gone, done, err := o.snapshot.replace(name, desired.Objects, now)
		if err != nil {
			o.log.Error("encoding failed, still serving the previous objects of the service", "service", name, "error", err)
			continue
		}
		set, remove = append(set, changed...), append(remove, gone...)
		if done {
			revisions[name] = desired.Revision
		} else {
			partial = append(partial, name)
		}
	}
	edition := o.store.publish(set, remove)
	for _, name := range partial {
		o.migrations[name] = step{edition, now}
	}
	o.reportPush(revisions, state)
}

// reportPush updates the metrics after a push. The revisions are those of the services whose desired objects are served.
func (o *Output) reportPush(revisions map[mesh.Name]uint64, state contract.State) {
	for name, revision := range revisions {
		if since := state.Written(name, revision); !since.IsZero() {
			o.metrics.propagation.Observe(time.Since(since).Seconds())
		}
	}
	for kind := range o.store.collections {
		o.metrics.setSize(kind, o.store)
	}
}
