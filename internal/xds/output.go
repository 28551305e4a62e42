// Package mcp serves the mesh's resources to istiod itself, by MCP over xDS: istiod names it among the configSources of
// its mesh configuration, and needs no object in Kubernetes.
//
// Every type that istiod asks for is answered, since it is not ready before; those that we have objects of, ServiceEntries,
// WorkloadEntries and DestinationRules, only once all of them are known, since it deletes what an answer leaves out.
// Versions depend on what is served alone, so an istiod that changes from one replica to another rewrites nothing that
// both have. Addresses of services are passed on as the resources have them: istiod gives none on this way.
package xds

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"golang.org/x/sync/errgroup"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Options say how to serve.
type Options struct {
	// Address is host:port to listen on; an empty host means all interfaces, port 0 a free one.
	Address string
	// TLS is nil for plain text.
	TLS *TLS
	// Grace is how long the ServiceEntry of a service that left stays, without endpoints.
	Grace   time.Duration
	Log     *slog.Logger
	Metrics *Metrics

	// reread is how often the files of TLS are looked at; 0 means reread.Every.
	reread time.Duration
	// limits are others than the usual ones.
	limits *limits
}

// Output is a bridge.Output that serves by MCP over xDS. Make one with New.
type Output struct {
	contract.WorkSet

	store   *store
	server  *server
	shelf   *shelf
	moves   moves
	log     *slog.Logger
	metrics *Metrics

	mu      sync.Mutex
	unready error
}

var (
	errNotWhole = errors.New("xds: the first whole content is not served yet")
	errDraining = errors.New("xds: stopping")
)

// New opens the port and reads the files of TLS, so that what is wrong with them shows before anything else starts.
func New(options Options) (*Output, error) {
	o := &Output{
		WorkSet: contract.NewWorkSet(), store: newStore(), shelf: newShelf(options.Grace), moves: moves{},
		log: options.Log, metrics: options.Metrics, unready: errNotWhole,
	}
	var err error
	o.server, err = listen(options, o.store)
	return o, err
}

// Address returns the address that the server listens on.
func (o *Output) Address() string { return o.server.listener.Addr().String() }

// Ready implements bridge.Output. A server that stops isn't ready, so that istiods that connect anew go elsewhere.
func (o *Output) Ready() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.unready
}

func (o *Output) setReady(unready error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unready = unready
}

// Run implements bridge.Output. When ctx ends, it lets the clients finish what they are receiving, and sends them away.
func (o *Output) Run(ctx context.Context, state contract.State) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return o.server.run(ctx) })
	group.Go(func() error {
		o.follow(ctx, state)
		o.setReady(errDraining)
		return nil
	})
	return group.Wait()
}

// follow pushes everything once all of it is known, and then what changes, until ctx ends.
func (o *Output) follow(ctx context.Context, state contract.State) {
	for !state.Complete() {
		if !o.awaken(ctx) {
			return
		}
	}
	o.push(append(o.Drain(), state.Names()...), state)
	o.setReady(nil)
	for o.awaken(ctx) {
		o.gather(ctx)
		sleep(ctx, o.store.resting())
		o.push(o.Drain(), state)
	}
}

// awaken waits until there is something to look at. It returns false when ctx has ended.
func (o *Output) awaken(ctx context.Context) bool {
	var due <-chan time.Time
	wait, some := o.shelf.due(time.Now())
	if len(o.moves) > 0 && (!some || wait > moveLook) {
		wait, some = moveLook, true
	}
	if some {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-o.Wake:
		return true
	case <-o.store.late:
		return true
	case <-due:
		return true
	}
}

// push brings services up to date for all clients at once.
func (o *Output) push(names []mesh.Name, state contract.State) {
	var set, remove []*resource
	var stepped []mesh.Name
	revisions := make(map[mesh.Name]uint64, len(names))
	now, taken := time.Now(), o.store.taken()
	names = slices.AppendSeq(append(names, o.shelf.expired(now)...), maps.Keys(o.moves))
	slices.SortFunc(names, mesh.Name.Compare)
	for _, name := range slices.Compact(names) {
		if o.moves.waits(name, taken, now) {
			continue
		}
		delete(o.moves, name)
		desired := state.Desired(name)
		added, gone, arrived, err := o.shelf.replace(name, desired.Objects, now)
		if err != nil {
			o.log.Error("can't be served; what was served before stands", "service", name, "error", err)
			continue
		}
		set, remove = append(set, added...), append(remove, gone...)
		if arrived {
			revisions[name] = desired.Revision
		} else {
			stepped = append(stepped, name)
		}
	}
	edition := o.store.publish(set, remove)
	for _, name := range stepped {
		o.moves[name] = stop{edition, now}
	}
	for name, revision := range revisions {
		if since := state.Written(name, revision); !since.IsZero() {
			o.metrics.propagation.Observe(time.Since(since).Seconds())
		}
	}
	for kind := range o.store.collections {
		o.metrics.hold(kind, o.store)
	}
}
