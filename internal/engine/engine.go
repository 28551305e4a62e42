// Package engine owns the state of a run: it applies the reports of the sources and keeps the desired state that the
// outputs read.
//
// The data flow is level-triggered and keyed by service. A report replaces the earlier report of the service, so a burst
// of reports costs one translation. A notification names the service that changed and the output reads its newest desired
// state, so a burst of changes costs one write. No queue holds a message that could be lost or out of date.
//
// # One change, step by step
//
//	Source ─▶ mailbox.Update     the newest unread report of each service
//	       ─▶ Engine.handle      the loop takes the batch
//	       ─▶ guard.Report       mass-removal protection accepts or holds removals
//	       ─▶ Engine.accept      stores the accepted services
//	       ─▶ merger.merge       one service of the reports of several sources
//	       ─▶ Engine.translate   Istio objects, virtual addresses, findings
//	       ─▶ Engine.setDesired  a new revision, if the objects differ
//	       ─▶ Output.Notify      the output reads Engine.Desired and calls Engine.Written
//
// # Phases of a source
//
//	           Load                      Load (complete)
//	unknown ─────────▶ restored          ─────────────▶ restoredComplete
//	   │                  │                                    │
//	   │   Synced(false)  │                                    │
//	   ├──────────────────┼──────────▶ partial ◀───────────────┤
//	   │                  │            │     ▲                 │
//	   │   Synced(true)   │            ▼     │                 │
//	   └──────────────────┴──────────▶ complete ◀──────────────┘
//
//	any phase ── TakeOver without a connection ──▶ quarantined ── connected ──▶ restored, then the reports that waited
//
//	phase             content known  a missing service is gone   last known good   Ready
//	unknown           no             no                          no                no
//	restored          in part        no                          yes               yes
//	restoredComplete  yes            yes                         yes               yes
//	partial           in part        unless it has live objects  where restored    yes
//	complete          yes            yes                         no                yes
//	quarantined       in part        no                          yes               yes
//
// # State of a service
//
// [serviceState] is the registry's side of a service: the merged report, its name in the mesh and its findings.
// [nameState] is the mesh's side of a name: the desired objects, and the live objects while the desired ones aren't known.
//
//	desired objects  live objects  untranslatable  Desired returns
//	yes              any           any             the desired objects, authoritative
//	no               yes           any             the live objects, not authoritative
//	no               no            yes             nothing, not authoritative
//	no               no            no              nothing, authoritative if the sources are complete
//
// # Concurrency
//
// One goroutine, the loop, changes the state. Sources, outputs and stores reach it through the mailbox, and read the state
// under Engine.mu. Lock order: Engine.mu, then the lock of the store (Store.Save). mailbox.mu is a leaf.
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// Rules are the options that can change while the engine runs.
type Rules struct {
	// Mesh are the rules of the translation.
	Mesh mesh.Options
	// Guard are the limits of the mass-removal protection. The engine sets Guard.Serving.
	Guard guard.Options
}

// guard returns the options of the guard. The rules of the translation decide which instances serve.
func (r Rules) guard() guard.Options {
	options := r.Guard
	options.Serving = r.Mesh.Serves
	return options
}

// Options configure an engine.
type Options struct {
	Rules
	// Groups maps each merged source to the name of its group.
	Groups map[string]string
	// Budget bounds the objects.
	Budget Budget
	// Addresses configures virtual addresses.
	Addresses vip.Options
	// Store keeps the last known good across restarts. Nil means that a restart begins without one.
	Store contract.Store
	// Log receives the messages of the engine.
	Log *slog.Logger
	// Metrics receives the metrics of the engine.
	Metrics *Metrics
}

// Engine applies changes of the sources and serves the desired state. Create it with New.
type Engine struct {
	options Options
	outputs []contract.Output
	log     *slog.Logger
	metrics *Metrics
	mailbox mailbox
	// now is the clock of the guard.
	now func() time.Time
	// sources are sorted by name. The slice doesn't change.
	sources []*sourceState
	// addresses are the virtual addresses. Only the loop uses them.
	addresses addressState

	// mu guards the fields below and the fields of each sourceState that say so. Only the loop writes, except that
	// Written sets nameState.since; the loop therefore reads fields other than byName without the lock. Store.Save is
	// called with mu held, so the lock of the store comes after mu in the lock order.
	mu     sync.RWMutex
	merger merger
	// names assigns names in the mesh to services.
	names mesh.Names
	// savedNames are the names in the store, by keys in lower case.
	savedNames map[catalog.Key]mesh.Name
	// restoredTags are the tags with hosts of an earlier run or of the leader, of services that are not known yet.
	restoredTags map[mesh.Name][]string
	// pods are the addresses for which services have inline endpoints.
	pods map[mesh.Name]netip.Addr
	// services are the services of the registries, by merged key.
	services map[catalog.Key]*serviceState
	// byName are the names in the mesh.
	byName map[mesh.Name]nameState
	// budget counts the objects. Only the loop uses it.
	budget objectBudget
	// revision is the revision of the last change of the desired state.
	revision uint64
}

// New returns an engine that connects sources and outputs.
func New(options Options, sources []contract.Source, outputs []contract.Output) *Engine {
	if options.Store == nil {
		options.Store = nopStore{}
	}
	e := &Engine{
		options:      options,
		outputs:      outputs,
		log:          options.Log,
		metrics:      options.Metrics,
		mailbox:      newMailbox(),
		now:          time.Now,
		addresses:    newAddressState(options.Addresses),
		merger:       newMerger(options.Groups),
		services:     map[catalog.Key]*serviceState{},
		savedNames:   map[catalog.Key]mesh.Name{},
		restoredTags: map[mesh.Name][]string{},
		pods:         map[mesh.Name]netip.Addr{},
		byName:       map[mesh.Name]nameState{},
		budget:       newObjectBudget(options.Budget),
	}
	for _, source := range sources {
		e.sources = append(e.sources, newSourceState(source, guard.New(options.Rules.guard())))
	}
	slices.SortFunc(e.sources, func(a, b *sourceState) int { return strings.Compare(a.name, b.name) })
	return e
}

// Run runs the sources, the outputs, the store and the loop until ctx ends or one of them fails.
func (e *Engine) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range e.sources {
		group.Go(func() error {
			if err := s.source.Run(ctx, &e.mailbox); err != nil {
				return fmt.Errorf("source %s: %w", s.name, err)
			}
			return nil
		})
	}
	for _, output := range e.outputs {
		group.Go(func() error { return output.Run(ctx, e) })
	}
	group.Go(func() error { return e.options.Store.Run(ctx, e) })
	group.Go(func() error { return e.watchQuarantined(ctx) })
	group.Go(func() error { return e.loop(ctx) })
	return group.Wait()
}

// loop is the only goroutine that changes the state.
func (e *Engine) loop(ctx context.Context) error {
	if err := e.restore(ctx); err != nil {
		return fmt.Errorf("restore the last known good: %w", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.mailbox.wake:
			e.handle(e.mailbox.drain())
		case <-timer.C:
		}
		timer.Stop()
		if next := e.tick(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// SetRules changes the rules. Outputs are notified of the services whose objects differ, and of no others. It doesn't
// block.
func (e *Engine) SetRules(rules Rules) { e.mailbox.setRules(rules) }

// Ready returns nil when every source has reported or has a last known good, and every output has written the desired
// state.
func (e *Engine) Ready() error {
	if source := e.unknownSource(); source != "" {
		return fmt.Errorf("source %s has not completed its initial sync", source)
	}
	for _, output := range e.outputs {
		if err := output.Ready(); err != nil {
			return err
		}
	}
	return nil
}

// notify notifies all outputs of services that changed.
func (e *Engine) notify(changed []mesh.Name) {
	for _, output := range e.outputs {
		for _, name := range changed {
			output.Notify(name)
		}
	}
}
