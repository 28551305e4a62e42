package engine

import (
	"maps"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

var _ contract.Feedback = (*Engine)(nil)

// ReportConflicts implements contract.ConflictReporter.
func (e *Engine) ReportConflicts(conflicts contract.Conflicts) (applied <-chan struct{}) {
	return e.mailbox.reportConflicts(conflicts)
}

// handleConflicts adapts hosts and virtual addresses to the objects of others in the mesh.
func (e *Engine) handleConflicts(conflicts contract.Conflicts) {
	e.setYieldedHosts(conflicts.YieldedHosts)
	if conflicts.ForeignAddresses != nil {
		e.excludeForeign(conflicts.ForeignAddresses())
	}
	var evicted []mesh.Name
	for _, name := range slices.SortedFunc(maps.Keys(conflicts.LostAddresses), mesh.Name.Compare) {
		for _, address := range conflicts.LostAddresses[name] {
			if e.addresses.pool.Evict(name, address) {
				evicted = append(evicted, name)
			}
		}
	}
	for _, name := range append(evicted, e.adoptAddresses(conflicts.LeaderAddresses)...) {
		e.mu.Lock()
		changed := e.reassign([]mesh.Name{name}, e.now())
		e.mu.Unlock()
		e.notify(changed)
	}
}

// setYieldedHosts records the hosts of services that belong to objects of others, and notifies the outputs of changes.
func (e *Engine) setYieldedHosts(yielded map[mesh.Name][]string) {
	var changed []mesh.Name
	e.mu.Lock()
	for name, hosts := range yielded {
		if slices.Equal(e.byName[name].yieldedHosts, hosts) {
			continue
		}
		e.update(name, func(s *nameState) { s.yieldedHosts = hosts })
		changed = append(changed, name)
	}
	e.mu.Unlock()
	e.notify(changed)
}
