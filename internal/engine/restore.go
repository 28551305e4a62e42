package engine

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// nopStore is the store of an engine without one.
type nopStore struct{}

func (nopStore) Load(context.Context) (contract.Snapshot, error) { return contract.Snapshot{}, nil }
func (nopStore) Save(contract.Change)                            {}
func (nopStore) Run(context.Context, contract.Feedback) error    { return nil }

// restore loads the last known good.
func (e *Engine) restore(ctx context.Context) error {
	snapshot, err := e.options.Store.Load(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	e.forgetRemovedSources(snapshot)
	e.restoreAddresses(snapshot.Addresses)
	e.excludeForeign(snapshot.ForeignAddresses)
	e.mu.Lock()
	e.restoreNames(snapshot)
	e.restoreTags(snapshot.TagHosts)
	e.restoreForms(snapshot)
	e.mu.Unlock()
	e.setKnown(snapshot.Services)
	e.budget.restoring = true
	defer func() { e.budget.restoring = false }()
	live := e.restoreLive(snapshot.Live)
	bySource := servicesBySource(snapshot.Services)
	for _, s := range e.sources {
		s.prefer(bySource[s.name])
		if services := bySource[s.name]; len(services) > 0 {
			e.restoreSource(s, services, snapshot)
		}
	}
	if holds := e.holds(); len(snapshot.Holds) > len(holds) { // drop holds of sources without services
		e.options.Store.Save(contract.Change{Holds: holds})
	}
	e.notify(live) // the sources are in phase restored by now
	now := time.Now()
	for _, name := range snapshot.CompleteSources {
		s := e.sourceOf(name)
		if s == nil {
			continue
		}
		for _, service := range bySource[name] {
			e.notify(e.applyService(service, now))
		}
		e.markKnown(s, restoredComplete)
	}
	return nil
}

// restoreSource gives the last known good of a source to its guard, for comparison with the reports.
func (e *Engine) restoreSource(s *sourceState, services []catalog.Service, snapshot contract.Snapshot) {
	hold := snapshot.Holds[s.name]
	s.guard.Restore(services, hold)
	e.publishHold(s, "")
	e.mu.Lock()
	s.restore(snapshot.Changed)
	e.mu.Unlock()
	e.metrics.lastKnownGood(s.name, snapshot.Changed)
	attrs := []any{"source", s.name, "services", len(services)}
	if changed := snapshot.Changed; !changed.IsZero() {
		attrs = append(attrs, "since", changed.UTC().Format(time.RFC3339), "duration", time.Since(changed).Round(time.Second))
	}
	e.log.Info(MessageRestored, attrs...)
	if !hold.Since.IsZero() {
		e.log.Warn("hold restored from the previous run", "source", s.name, "since", hold.Since,
			"instances", hold.Instances, "services", hold.Services, "reason", hold.Reason)
	}
}

// forgetRemovedSources removes sources that are no longer configured from the store. Their objects in the mesh stay.
func (e *Engine) forgetRemovedSources(snapshot contract.Snapshot) {
	var removed []string
	add := func(source string) {
		if e.sourceOf(source) == nil {
			removed = append(removed, source)
		}
	}
	for _, service := range snapshot.Services {
		add(service.Source)
	}
	for _, source := range snapshot.CompleteSources {
		add(source)
	}
	slices.Sort(removed)
	removed = slices.Compact(removed)
	addresses := map[mesh.Name][]netip.Addr{}
	for name := range snapshot.Addresses {
		if e.sourceOf(name.Source) == nil && snapshot.Live[name] == nil {
			addresses[name] = nil
			delete(snapshot.Addresses, name)
		}
	}
	if len(removed)+len(addresses) > 0 {
		e.options.Store.Save(contract.Change{Gone: removed, Addresses: addresses})
	}
}

// restoreLive replaces the live objects of all names that need them. It returns the names that have live objects.
func (e *Engine) restoreLive(live map[mesh.Name][]mesh.Object) (names []mesh.Name) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, state := range e.byName {
		if len(state.live) > 0 && e.needsLive(name) {
			e.update(name, func(s *nameState) { s.live = nil })
		}
	}
	for name, objects := range live {
		if e.needsLive(name) {
			e.update(name, func(s *nameState) { s.live = objects })
		}
	}
	for name, state := range e.byName {
		if len(state.live) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// dropLive removes the live objects of a source's services, or of its group's, if no source of them is pending. If the
// content of the source is partial, services without desired objects keep their live objects. It returns the services
// that changed. The caller holds Engine.mu.
func (e *Engine) dropLive(source string, isComplete bool) (changed []mesh.Name) {
	for name, state := range e.byName {
		if len(state.live) == 0 || !state.hasDesired() && !isComplete {
			continue
		}
		if slices.Contains(e.merger.members(name.Source), source) && len(e.pendingSources(name.Source)) == 0 {
			changed = append(changed, name)
			e.update(name, func(s *nameState) { s.live = nil })
		}
	}
	return changed
}
