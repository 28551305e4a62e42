// Package bridge owns the state of a run and takes changes from the sources to the outputs.
//
// The way is level-triggered and keyed by service. A source's report replaces what was known of the service,
// so a burst of reports costs one translation; an output is only told which service changed and reads its
// newest resources, so a burst of changes costs one write. Nothing is queued that could get lost or old.
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"golang.org/x/sync/errgroup"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// Rules are what may change while the bridge runs.
type Rules struct {
	// Mesh are the rules of the translation.
	Mesh mesh.Options
	// Guard are the rules by which a disappearance is believed. Without Serving, the health says what serves.
	Guard guard.Options
}

// Options say how a bridge works.
type Options struct {
	Rules
	// Groups names the group of each source that is merged with others.
	Groups map[string]string
	// Addresses says which virtual addresses services get.
	Addresses vip.Options
	// Memory outlives the process; nil for none.
	Memory  contract.Store
	Log     *slog.Logger
	Metrics *Metrics
}

// Engine is the one place where state changes. Make one with New.
type Engine struct {
	options Options
	sources []contract.Source
	outputs []contract.Output
	log     *slog.Logger
	metrics *Metrics

	inbox  inbox
	guards map[string]*guard.Guard
	// now is the clock that the guard goes by.
	now func() time.Time
	// ending is why a hold ends that is about to, where it isn't that all came back.
	ending string

	mu     sync.RWMutex
	merger merger
	// reported counts the instances of each report; services are what was made of the reports.
	reported map[catalog.Key]int
	services map[catalog.Key]service
	names    mesh.Names
	// addresses are used by the loop alone.
	addresses *vip.Pool
	// avoided are the addresses of others, refused those that others gave to a service and that can't be its own yet.
	avoided []netip.Prefix
	refused map[mesh.Name][]netip.Addr
	// freed says that there may be an address for services that have none.
	freed   bool
	desired map[mesh.Name]desiredState
	// left are the hosts that are left to somebody else's objects.
	left map[mesh.Name][]string
	// standing is what the mesh holds of services of which nothing else is known yet, or can be.
	standing map[mesh.Name][]mesh.Object
	// broken are the names of services whose resources aren't known by a mistake of ours, and whose they are.
	broken map[mesh.Name]catalog.Key
	// synced are the sources whose content is known, reportedAll those that reported it in this run; recalled says of those
	// that something is remembered of, and that have not, when that last changed.
	synced, reportedAll map[string]bool
	recalled            map[string]time.Time
	// doubts are of sources that this replica took over without being in touch with them.
	doubts   map[string]*doubt
	holds    map[string]guard.Hold
	revision uint64
}

// service is what is known of one service and what was made of it.
type service struct {
	catalog.Service
	name     mesh.Name
	findings []mesh.Finding
	// clashes are the addresses of its instances that are within the ranges of virtual addresses.
	clashes map[netip.Addr]bool
}

// desiredState is the desired state of one service with its origin.
type desiredState struct {
	contract.Desired
	// owner is the service of the registry that the resources were made from.
	owner catalog.Key
	// since is the time of the registry's first response that isn't written yet.
	since time.Time
}

// New makes a bridge from sources to outputs.
func New(options Options, sources []contract.Source, outputs []contract.Output) *Engine {
	if options.Memory == nil {
		options.Memory = forgetful{}
	}
	b := &Engine{
		options: options, sources: sources, outputs: outputs, log: options.Log, metrics: options.Metrics,
		inbox:     newInbox(),
		guards:    map[string]*guard.Guard{},
		now:       time.Now,
		merger:    newMerger(options.Groups),
		addresses: vip.New(options.Addresses), refused: map[mesh.Name][]netip.Addr{},
		reported: map[catalog.Key]int{},
		services: map[catalog.Key]service{},
		desired:  map[mesh.Name]desiredState{},
		left:     map[mesh.Name][]string{},
		standing: map[mesh.Name][]mesh.Object{},
		broken:   map[mesh.Name]catalog.Key{},
		synced:   map[string]bool{}, reportedAll: map[string]bool{}, recalled: map[string]time.Time{},
		doubts: map[string]*doubt{}, holds: map[string]guard.Hold{},
	}
	for _, source := range sources {
		b.synced[source.Name()] = false
		b.guards[source.Name()] = guard.New(b.options.Rules.guard())
	}
	return b
}

// guard returns the guard's rules with what serves by the rules of the translation.
func (r Rules) guard() guard.Options {
	options := r.Guard
	options.Serving = r.Mesh.Serves
	return options
}

// Run runs the sources, the outputs and the way between them until ctx ends or one of them fails for good.
func (b *Engine) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, source := range b.sources {
		group.Go(func() error {
			if err := source.Run(ctx, &b.inbox); err != nil {
				return fmt.Errorf("source %s: %w", source.Name(), err)
			}
			return nil
		})
	}
	for _, output := range b.outputs {
		group.Go(func() error { return output.Run(ctx, b) })
	}
	group.Go(func() error { return b.options.Memory.Run(ctx, b) })
	group.Go(func() error { return b.watchDoubts(ctx) })
	group.Go(func() error { return b.loop(ctx) })
	return group.Wait()
}

// loop is the one goroutine that changes the state.
func (b *Engine) loop(ctx context.Context) error {
	if err := b.recall(ctx); err != nil {
		return fmt.Errorf("last known good: %w", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.inbox.wake:
			b.take(b.inbox.empty())
		case <-timer.C:
		}
		timer.Stop()
		if next := b.tick(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// SetRules changes the rules while the bridge runs. Outputs are told of the services that come out different, and of no
// others. It returns at once.
func (b *Engine) SetRules(rules Rules) { b.inbox.change(rules) }

// Ready returns nil when every source has reported, or the last known good stands for it, and every output has written
// what is known.
func (b *Engine) Ready() error {
	if source := b.unknown(); source != "" {
		return fmt.Errorf("source %s has not reported its whole content yet", source)
	}
	for _, output := range b.outputs {
		if err := output.Ready(); err != nil {
			return err
		}
	}
	return nil
}
