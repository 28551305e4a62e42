package engine

import (
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// phase is the phase of a source. The package comment shows the transitions.
type phase int

const (
	// unknown: no content is known.
	unknown phase = iota
	// restored: a last known good exists that may be partial. Nothing is removed.
	restored
	// restoredComplete: the last known good is complete and is served.
	restoredComplete
	// partial: the source has reported the content that it can read; more may be hidden.
	partial
	// complete: the source has reported its complete content.
	complete
	// quarantined: this replica took over while the source was disconnected. Reports wait until it is connected.
	quarantined
)

// String returns the name of the phase, for logs.
func (p phase) String() string {
	return [...]string{"unknown", "restored", "restored_complete", "partial", "complete", "quarantined"}[p]
}

// known reports whether the desired state of the source's services is authoritative.
func (p phase) known() bool { return p == restoredComplete || p == partial || p == complete }

// sourceState is the state of one source. Its transitions are the methods restore, markKnown, quarantineWith and
// endQuarantine; their caller holds Engine.mu.
type sourceState struct {
	// source doesn't change.
	source contract.Source
	// name doesn't change.
	name string
	// guard decides which removals are accepted. Only the loop uses it.
	guard *guard.Guard
	// instances counts the instances in the newest report of each service, by service name. Only the loop uses it.
	instances map[string]int

	// phase is guarded by Engine.mu.
	phase phase
	// restoredAt is the time of the newest change in the last known good, or nil if the source needs none: the store
	// knew nothing of the source, or the source is complete. It is guarded by Engine.mu.
	restoredAt *time.Time
	// hold is the active hold, or nil. It is guarded by Engine.mu.
	hold *guard.Hold
	// detected is guard.Guard.Detected at the last change of hold. Only the loop uses it.
	detected int
	// summaryAt is the time at which the log summarizes the newest mass removal, or zero. Only the loop uses it.
	summaryAt time.Time
	// quarantine holds the waiting reports. It is set exactly in phase quarantined. It is guarded by Engine.mu; only the
	// loop uses its fields.
	quarantine *quarantine
}

// quarantine holds the reports of a source that isn't connected to its registry.
type quarantine struct {
	// reports are the newest reports, by service name.
	reports map[string]update
	// synced reports whether the source has reported all that it can read.
	synced bool
	// complete reports whether that is its complete content.
	complete bool
	// reserved are the names that keep their virtual addresses during the quarantine.
	reserved map[mesh.Name]bool
}

func newSourceState(source contract.Source, g *guard.Guard) *sourceState {
	return &sourceState{source: source, name: source.Name(), guard: g, instances: map[string]int{}}
}

// restore moves a source to restored: a last known good of the given age exists.
func (s *sourceState) restore(changed time.Time) {
	s.phase, s.restoredAt = restored, &changed
}

// markKnown moves a source to a phase in which its content is known.
func (s *sourceState) markKnown(next phase) {
	if s.phase = next; next == complete {
		s.restoredAt = nil
	}
}

// quarantineWith moves a source to quarantined. The last known good of the given age takes the place of its reports.
func (s *sourceState) quarantineWith(q *quarantine, changed time.Time) {
	s.phase, s.restoredAt, s.quarantine = quarantined, &changed, q
}

// endQuarantine moves a quarantined source to restored and returns the reports that waited.
func (s *sourceState) endQuarantine() *quarantine {
	q := s.quarantine
	s.phase, s.quarantine = restored, nil
	return q
}

// prefer tells a source with a limit which services the mesh has.
func (s *sourceState) prefer(services []catalog.Service) {
	preferrer, ok := s.source.(contract.Preferrer)
	if !ok {
		return
	}
	names := make([]string, len(services))
	for i, service := range services {
		names[i] = service.Name
	}
	preferrer.Prefer(names)
}

// countReport records how many endpoints a report has, and returns the number of the earlier report.
func (s *sourceState) countReport(report catalog.Service) (before int) {
	before = s.instances[report.Name]
	if s.instances[report.Name] = report.Endpoints(); len(report.Instances) == 0 {
		delete(s.instances, report.Name)
	}
	return before
}

// sourceOf returns the state of a source, or nil if there is no such source.
func (e *Engine) sourceOf(name string) *sourceState {
	for _, s := range e.sources {
		if s.name == name {
			return s
		}
	}
	return nil
}

// pendingSources returns the sources of a name that aren't complete. It returns nil if the source of the name doesn't
// exist. The caller is the loop or holds Engine.mu.
func (e *Engine) pendingSources(source string) []string {
	if e.sourceOf(source) == nil {
		return nil
	}
	pending := []string{}
	for _, member := range e.merger.members(source) {
		if s := e.sourceOf(member); s == nil || !s.phase.known() {
			pending = append(pending, member)
		}
	}
	return pending
}

// stable reports whether every pending source has a last known good. The caller is the loop or holds Engine.mu.
func (e *Engine) stable(pending []string) bool {
	for _, source := range pending {
		if s := e.sourceOf(source); s == nil || s.phase == unknown {
			return false
		}
	}
	return true
}

// needsLive reports whether the live objects of a name may be all that is known of it: one of its sources has not
// reported its complete content. The caller is the loop or holds Engine.mu.
func (e *Engine) needsLive(name mesh.Name) bool {
	pending := e.pendingSources(name.Source)
	if pending == nil || e.byName[name].hasDesired() && len(pending) == 0 {
		return false
	}
	for _, member := range e.merger.members(name.Source) {
		if s := e.sourceOf(member); s == nil || s.phase != complete {
			return true
		}
	}
	return false
}

// unknownSource returns the name of a source in phase unknown, or "" if there is none.
func (e *Engine) unknownSource() string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, s := range e.sources {
		if s.phase == unknown {
			return s.name
		}
	}
	return ""
}
