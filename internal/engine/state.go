package engine

import (
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

var _ contract.State = (*Engine)(nil)

// Desired implements contract.State. The package comment has the table of its results.
func (e *Engine) Desired(name mesh.Name) contract.Desired {
	e.mu.RLock()
	defer e.mu.RUnlock()
	pending := e.pendingSources(name.Source)
	state := e.byName[name]
	if !state.hasDesired() {
		known := pending != nil && len(pending) == 0 && state.untranslatable == (catalog.Key{}) && len(state.live) == 0
		return contract.Desired{Resources: mesh.Resources{Objects: state.live}, Authoritative: known, Stable: e.stable(pending)}
	}
	desired := state.desired
	desired.Stable, desired.YieldedHosts = e.stable(pending), state.yieldedHosts
	if e.merger.merges(name.Source) {
		desired.PendingSources = pending
	}
	return desired
}

// Names implements contract.State.
func (e *Engine) Names() []mesh.Name {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var names []mesh.Name
	for name, state := range e.byName {
		if state.hasDesired() {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, mesh.Name.Compare)
	return names
}

// Complete implements contract.State.
func (e *Engine) Complete() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return !slices.ContainsFunc(e.sources, func(s *sourceState) bool { return !s.phase.known() })
}

// Restored implements contract.State.
func (e *Engine) Restored() bool { return e.unknownSource() == "" }

// Written implements contract.State.
func (e *Engine) Written(name mesh.Name, revision uint64) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	state := e.byName[name]
	if !state.hasDesired() || state.desired.Revision != revision {
		return time.Time{}
	}
	since := state.since
	if !since.IsZero() {
		state.since = time.Time{}
		e.byName[name] = state
	}
	return since
}
