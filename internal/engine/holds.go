package engine

import (
	"strings"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// Reasons for the end of a hold, as the log reports them.
const (
	endRecovered       = "the registry reports everything again"
	endReleased        = "released"
	endReleasedEarlier = "released before the initial sync"
	endExpired         = "few removals remain, or guard.releaseAfter has passed"
	endGuardDisabled   = "the guard was disabled"
	endNewLeader       = "the previous leader held nothing"
)

// Release implements contract.Releaser.
func (e *Engine) Release(source string) { e.mailbox.release(source) }

// accept applies the services that the guard of a source returned. If the hold of the source has ended with them, why is
// the reason.
func (e *Engine) accept(s *sourceState, services []catalog.Service, observed time.Time, why string) {
	for _, service := range services {
		e.notify(e.applyService(service, observed))
	}
	e.options.Store.Save(contract.Change{Services: services})
	e.publishHold(s, why)
}

// handleRelease releases the held removals of a source.
func (e *Engine) handleRelease(source string) {
	s := e.sourceOf(source)
	if s == nil {
		return
	}
	if _, held := s.guard.Hold(); held {
		e.accept(s, s.guard.Release(), e.now(), endReleased)
	}
}

// tick releases removals that are due and virtual addresses that have expired. It returns the time of the next call, or
// the zero time if only a report can cause a change.
func (e *Engine) tick() (next time.Time) {
	now := e.now()
	defer e.admitWaiting()
	next = e.expireAddresses(now)
	for _, s := range e.sources {
		released, again := s.guard.Tick(now)
		if len(released) > 0 {
			e.accept(s, released, now, endExpired)
		} else {
			e.publishHold(s, endExpired)
		}
		for _, at := range []time.Time{again, e.summarize(s, now)} {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}

// publishHold passes the hold of a source to the status, the metrics, the store and the log, if it has changed. If the
// hold has ended, why is the reason.
func (e *Engine) publishHold(s *sourceState, why string) {
	var before guard.Hold
	if s.hold != nil {
		before = *s.hold
	}
	hold, held := s.guard.Hold()
	if hold.Equal(before) && s.guard.Detected() == s.detected {
		return
	}
	if s.guard.Detected() > s.detected {
		s.summaryAt = e.now().Add(e.options.Guard.Window)
	}
	began := held && (s.hold == nil || !hold.Since.Equal(before.Since) || s.guard.Detected() > s.detected)
	s.detected = s.guard.Detected()
	e.mu.Lock()
	if s.hold = nil; held {
		s.hold = &hold
	}
	e.mu.Unlock()
	e.metrics.held(s.name, hold)
	e.options.Store.Save(contract.Change{Holds: e.holds()})
	switch {
	case began:
		attrs := []any{"source", s.name, "instances", hold.Instances, "services", hold.Services, "reason", hold.Reason}
		if len(hold.Nodes) > 0 {
			attrs = append(attrs, "nodes", strings.Join(hold.Nodes, ","))
		}
		e.log.Error(MessageMassRemoval, append(attrs, "hint", e.releaseHint(s.name))...)
	case held && hold.Released && !before.Released:
		e.log.Info("hold released, removals apply after the initial sync", "source", s.name)
	case !held:
		e.log.Info(MessageHoldEnded, "source", s.name, "reason", why,
			"duration", max(0, e.now().Sub(before.Since)).Round(time.Second))
	}
}

// summarize logs the nodes of the held instances one window after a mass removal began: by then all of it is known. It
// returns the time of the next call, or the zero time.
func (e *Engine) summarize(s *sourceState, now time.Time) (next time.Time) {
	if s.summaryAt.IsZero() || now.Before(s.summaryAt) {
		return s.summaryAt
	}
	s.summaryAt = time.Time{}
	if s.hold != nil && len(s.hold.Nodes) > 0 {
		e.log.Warn(MessageHeldNodes, "source", s.name, "nodes", strings.Join(s.hold.Nodes, ","), "instances", s.hold.Instances,
			"services", s.hold.Services, "hint", "check that these nodes run, and that their Consul agents have all services; an agent that lost its data needs the services registered again")
	}
	return time.Time{}
}

// holds returns all active holds, by source.
func (e *Engine) holds() map[string]guard.Hold {
	holds := map[string]guard.Hold{}
	for _, s := range e.sources {
		if s.hold != nil {
			holds[s.name] = *s.hold
		}
	}
	return holds
}

// releaseHint returns how an operator confirms removals. Without a store there is no path for a release request, and a
// restart forgets the hold.
func (e *Engine) releaseHint(source string) string {
	if _, ok := e.options.Store.(nopStore); ok {
		return "if the removal is intended, restart isthmus; with state.file set, isthmus release " + source + " works without a restart"
	}
	return "if the removal is intended, run isthmus release " + source
}
