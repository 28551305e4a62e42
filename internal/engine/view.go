package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Desired implements State.
func (b *Engine) Desired(name mesh.Name) contract.Desired {
	b.mu.RLock()
	defer b.mu.RUnlock()
	waiting := b.waiting(name.Source)
	state, ok := b.desired[name]
	if !ok {
		_, broken := b.broken[name]
		standing, stands := b.standing[name]
		known := waiting != nil && len(waiting) == 0 && !broken && !stands
		return contract.Desired{Resources: mesh.Resources{Objects: standing}, Authoritative: known, Stable: b.settled(waiting)}
	}
	desired := state.Desired
	desired.Stable, desired.YieldedHosts = b.settled(waiting), b.left[name]
	if b.merger.merges(name.Source) {
		desired.PendingSources = waiting
	}
	return desired
}

// settled tells whether the last known good stands for all sources that haven't reported everything.
func (b *Engine) settled(waiting []string) bool {
	for _, source := range waiting {
		if _, recalled := b.recalled[source]; !recalled {
			return false
		}
	}
	return true
}

// waiting returns which of the sources that a name may have been made of have not reported everything; nil where
// there is no such source.
func (b *Engine) waiting(source string) []string {
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
func (b *Engine) Names() []mesh.Name {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.SortedFunc(maps.Keys(b.desired), mesh.Name.Compare)
}

// Complete implements State.
func (b *Engine) Complete() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return !slices.Contains(slices.Collect(maps.Values(b.synced)), false)
}

// Restored implements State.
func (b *Engine) Restored() bool { return b.unknown() == "" }

// unknown returns a source of which nothing is known; empty where there is none.
func (b *Engine) unknown() string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for name, synced := range b.synced {
		if _, recalled := b.recalled[name]; !synced && !recalled {
			return name
		}
	}
	return ""
}

// Written implements State.
func (b *Engine) Written(name mesh.Name, revision uint64) time.Time {
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
