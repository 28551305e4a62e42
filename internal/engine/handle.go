package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// handle applies a batch to the state and notifies the outputs of the services that changed. Only the loop calls it. It
// holds the lock for one service at a time, so a burst of reports doesn't block readers.
func (e *Engine) handle(input batch) {
	if input.rules != nil {
		e.handleRules(*input.rules)
	}
	for _, report := range input.updates {
		e.handleReport(report)
	}
	for source, isComplete := range input.synced {
		e.handleSynced(source, isComplete)
	}
	for _, source := range input.connected {
		e.handleConnected(source)
	}
	if input.handover != nil {
		e.handleHandover(*input.handover)
	}
	for _, source := range input.released {
		e.handleRelease(source)
	}
	e.handleConflicts(input.conflicts)
	e.admitWaiting()
	if input.conflictsApplied != nil {
		close(input.conflictsApplied)
	}
}

// handleRules applies new rules to the guards and translates every service again. A service whose objects stay the same
// isn't a change.
func (e *Engine) handleRules(rules Rules) {
	e.options.Rules = rules
	now := time.Now()
	for _, s := range e.sources {
		e.accept(s, s.guard.SetOptions(rules.guard()), now, endGuardDisabled)
	}
	for _, key := range slices.SortedFunc(maps.Keys(e.services), catalog.Key.Compare) {
		e.retranslate(key, now)
	}
}

// handleReport passes a report to the guard and applies the accepted services.
func (e *Engine) handleReport(report update) {
	s := e.sourceOf(report.service.Source)
	if s == nil {
		return // not configured: nothing would ever mark its content as complete
	}
	before := s.countReport(report.service)
	e.metrics.reported(s.name, before, report.service.Endpoints())
	if q := s.quarantine; q != nil {
		name := report.service.Name
		report.service = report.service.Apply(q.reports[name].service)
		q.reports[name] = report
		return
	}
	e.accept(s, s.guard.Report(e.now(), report.service), report.observed, endRecovered)
}

// handleSynced marks a source as synced: the guard decides on the services that the source didn't report. If the content
// isn't complete, restored services that may be hidden stay.
func (e *Engine) handleSynced(source string, isComplete bool) {
	s := e.sourceOf(source)
	if s == nil {
		return
	}
	if q := s.quarantine; q != nil {
		q.synced, q.complete = true, isComplete || q.complete
		return
	}
	why := endRecovered
	if hold, _ := s.guard.Hold(); hold.Released {
		why = endReleasedEarlier
	}
	next := partial
	if isComplete {
		next = complete
		e.metrics.lastKnownGood(source, time.Time{})
	}
	e.accept(s, s.guard.Synced(e.now(), isComplete), time.Now(), why)
	e.options.Store.Save(contract.Change{Synced: source})
	if count := s.guard.RestoredServices(); count > 0 {
		e.log.Warn("source can't read all services, keeping restored services", "source", source, "services", count)
	}
	e.log.Debug("source synced", "source", source, "mode", next.String())
	e.markKnown(s, next)
}

// markKnown moves a source to a phase in which its content is known, and notifies the outputs. They compare all of their
// objects, since an object without a desired state may now be removed. The guard's held instances must be applied before.
func (e *Engine) markKnown(s *sourceState, next phase) {
	e.mu.Lock()
	s.markKnown(next)
	e.budget.freed = true // services may have waited for the others of the source
	var changed []mesh.Name
	if group := e.merger.groups[s.name]; group != "" { // merged services may have waited for this source
		for name, state := range e.byName {
			if name.Source == group && state.hasDesired() {
				changed = append(changed, name)
			}
		}
	}
	e.freezeAddresses(s.name)
	changed = append(changed, e.freezeNames(s.name)...)
	changed = append(changed, e.dropLive(s.name, next != partial)...)
	e.mu.Unlock()
	e.notify(changed)
	for _, output := range e.outputs {
		output.Synced()
	}
}

// applyService applies an accepted report. It returns the names whose objects changed: the name of the service, and the
// names of services that compete for the same name.
func (e *Engine) applyService(report catalog.Service, observed time.Time) []mesh.Name {
	e.mu.Lock()
	defer e.mu.Unlock()
	service, before := e.merger.merge(report)
	key := service.Key
	e.renameKey(before, key)
	var affected []catalog.Key
	if len(service.Instances) == 0 {
		affected = e.names.Remove(key)
	} else {
		affected = e.names.Add(key)
	}
	changed := e.translate(service, observed)
	return append(changed, e.renamed(affected, observed)...)
}

// retranslate translates a known service again and notifies the outputs if its objects changed.
func (e *Engine) retranslate(key catalog.Key, observed time.Time) {
	e.mu.Lock()
	changed := e.translate(e.services[key].Service, observed)
	e.mu.Unlock()
	e.notify(changed)
}
