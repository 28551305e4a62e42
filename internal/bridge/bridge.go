// Package bridge owns the state of a run and takes changes from the sources to the outputs.
//
// The way is level-triggered and keyed by service. A source's report replaces what was known of the service,
// so a burst of reports costs one translation; an output is only told which service changed and reads its
// newest resources, so a burst of changes costs one write. Nothing is queued that could get lost or old.
package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A Source reports a registry's whole content first, then every change, until ctx ends. An error is never a
// deletion: trouble with the registry is the source's to report and to retry.
type Source interface {
	Name() string
	Run(ctx context.Context, sink catalog.Sink) error
}

// An Output makes the mesh hold exactly the resources that the state has for a service, and nothing else of
// ours. Trouble with one service is the output's to report and to retry, and delays no other service.
type Output interface {
	// Notify says that the resources of a service may have changed. It returns at once.
	Notify(name mesh.Name)
	// Synced says that one more source has reported its whole content: what stands in the mesh and isn't
	// desired is now known to be gone. It returns at once.
	Synced()
	// Run writes until ctx ends.
	Run(ctx context.Context, state State) error
	// Ready returns nil once everything that was known when the sources had reported is written.
	Ready() error
}

// State is what outputs read.
type State interface {
	// Desired returns what the mesh should hold for a service now.
	Desired(name mesh.Name) Desired
	// Names returns all services that have resources, sorted.
	Names() []mesh.Name
	// Complete tells whether every source has reported its whole content.
	Complete() bool
	// Written says that an output holds a revision of a service. It returns since when the output was behind;
	// the zero time where it was not.
	Written(name mesh.Name, revision uint64) (since time.Time)
}

// Desired is what the mesh should hold for one service.
type Desired struct {
	mesh.Resources
	// Known is false while the absence of the service says nothing: its source has not reported everything,
	// or it is no source of ours. What stands in the mesh then stays.
	Known bool
	// Waiting are the sources, of those that the service is merged of, that have not reported everything: what
	// stands in the mesh of their instances stays.
	Waiting []string
	// Revision grows with every change of the resources.
	Revision uint64

	// owner is the service of the registry that the resources were made of.
	owner catalog.Key
	// since is when the registry's first answer came that isn't written yet.
	since time.Time
}

// Bridge is the one place where state changes. Make one with New.
type Bridge struct {
	options mesh.Options
	sources []Source
	outputs []Output
	log     *slog.Logger
	metrics *Metrics

	inbox inbox

	mu     sync.RWMutex
	merger merger
	// reported counts the instances of each report; services are what was made of the reports.
	reported map[catalog.Key]int
	services map[catalog.Key]service
	names    mesh.Names
	desired  map[mesh.Name]Desired
	synced   map[string]bool
	revision uint64
}

// service is what is known of one service and what was made of it.
type service struct {
	catalog.Service
	name     mesh.Name
	findings []mesh.Finding
}

// New makes a bridge from sources to outputs. Sources that have a group are merged under its name.
func New(options mesh.Options, sources []Source, groups map[string]string, outputs []Output, log *slog.Logger, metrics *Metrics) *Bridge {
	b := &Bridge{
		options: options, sources: sources, outputs: outputs, log: log, metrics: metrics,
		inbox:    newInbox(),
		merger:   newMerger(groups),
		reported: map[catalog.Key]int{},
		services: map[catalog.Key]service{},
		desired:  map[mesh.Name]Desired{},
		synced:   map[string]bool{},
	}
	for _, source := range sources {
		b.synced[source.Name()] = false
	}
	return b
}

// Run runs the sources, the outputs and the way between them until ctx ends or one of them fails for good.
func (b *Bridge) Run(ctx context.Context) error {
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
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-b.inbox.wake:
				b.take(b.inbox.empty())
			}
		}
	})
	return group.Wait()
}

// SetOptions changes the rules of the translation while the bridge runs. Outputs are told of the services that come out
// different, and of no others. It returns at once.
func (b *Bridge) SetOptions(options mesh.Options) { b.inbox.change(options) }

// Ready returns nil when every source has reported and every output has written what they reported.
func (b *Bridge) Ready() error {
	b.mu.RLock()
	for name, synced := range b.synced {
		if !synced {
			b.mu.RUnlock()
			return fmt.Errorf("source %s has not reported its whole content yet", name)
		}
	}
	b.mu.RUnlock()
	for _, output := range b.outputs {
		if err := output.Ready(); err != nil {
			return err
		}
	}
	return nil
}

// Desired implements State.
func (b *Bridge) Desired(name mesh.Name) Desired {
	b.mu.RLock()
	defer b.mu.RUnlock()
	waiting := b.waiting(name.Source)
	desired, ok := b.desired[name]
	if !ok {
		return Desired{Known: waiting != nil && len(waiting) == 0}
	}
	if b.merger.merges(name.Source) {
		desired.Waiting = waiting
	}
	return desired
}

// waiting returns which of the sources that a name may have been made of have not reported everything; nil where
// there is no such source.
func (b *Bridge) waiting(source string) []string {
	if _, ok := b.synced[source]; !ok {
		return nil
	}
	waiting := []string{}
	for _, member := range b.merger.members(source) {
		if !b.synced[member] {
			waiting = append(waiting, member)
		}
	}
	return waiting
}

// Names implements State.
func (b *Bridge) Names() []mesh.Name {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.SortedFunc(maps.Keys(b.desired), mesh.Name.Compare)
}

// Complete implements State.
func (b *Bridge) Complete() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return !slices.Contains(slices.Collect(maps.Values(b.synced)), false)
}

// Written implements State.
func (b *Bridge) Written(name mesh.Name, revision uint64) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	desired, ok := b.desired[name]
	if !ok || desired.Revision != revision {
		return time.Time{}
	}
	since := desired.since
	desired.since = time.Time{}
	b.desired[name] = desired
	return since
}
