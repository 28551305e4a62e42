package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/wait"

	"golang.org/x/sync/errgroup"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// connectionTimeout is the time that a registry has to answer.
	connectionTimeout = 3 * time.Second
	// connectionInterval is the interval at which disconnected registries are queried.
	connectionInterval = time.Second
)

// handover is the state of the mesh when this replica takes over.
type handover struct {
	contract.Snapshot
	// disconnected are the sources that aren't connected to their registries.
	disconnected []string
	// done is closed once the handover is applied.
	done chan struct{}
}

// Connected implements contract.Feedback.
func (e *Engine) Connected(ctx context.Context) bool { return len(e.disconnected(ctx, nil)) == 0 }

// disconnected queries the registries of the named sources, or of all sources if names is nil. It returns the sources that
// aren't connected, sorted.
func (e *Engine) disconnected(ctx context.Context, names []string) []string {
	ctx, cancel := context.WithTimeout(ctx, connectionTimeout)
	defer cancel()
	var group errgroup.Group
	failed := make([]string, len(e.sources))
	for i, s := range e.sources {
		checker, ok := s.source.(contract.ConnectionChecker)
		if !ok || names != nil && !slices.Contains(names, s.name) {
			continue
		}
		group.Go(func() error {
			if err := checker.Connected(ctx); err != nil {
				e.log.Debug("source not connected to its registry", "source", s.name, "error", err)
				failed[i] = s.name
			}
			return nil
		})
	}
	_ = group.Wait() // the functions return nil
	return slices.DeleteFunc(failed, func(name string) bool { return name == "" })
}

// TakeOver implements contract.Feedback.
func (e *Engine) TakeOver(ctx context.Context, snapshot contract.Snapshot) {
	h := handover{Snapshot: snapshot, disconnected: e.disconnected(ctx, nil), done: make(chan struct{})}
	e.mailbox.takeOver(h)
	select {
	case <-h.done:
	case <-ctx.Done():
	}
}

// handleHandover continues from the state of the mesh. The guard of each source compares that state with the reports of
// the source. A disconnected source is quarantined: it counts as a source that has not reported.
func (e *Engine) handleHandover(h handover) {
	defer close(h.done)
	for _, s := range e.sources {
		if slices.Contains(h.disconnected, s.name) {
			e.quarantine(s, h.Changed)
		} else {
			e.handleConnected(s.name)
		}
	}
	e.notify(e.restoreLive(h.Live))
	e.mu.Lock()
	renamed := e.renamed(e.restoreNames(h.Snapshot), e.now())
	e.mu.Unlock()
	e.notify(renamed)
	defer e.takeOverTags(h.TagHosts)
	e.rebaseBudget(h.Services)
	bySource := servicesBySource(h.Services)
	for _, s := range e.sources {
		services, hold := bySource[s.name], h.Holds[s.name]
		s.prefer(services)
		if s.phase != quarantined {
			e.accept(s, s.guard.Rebase(e.now(), services, hold), e.now(), endNewLeader)
			continue
		}
		e.revertReports(s, h)
		s.guard = guard.New(e.options.Rules.guard())
		s.guard.Restore(services, hold)
		e.publishHold(s, endNewLeader)
	}
	e.mu.Lock()
	reformed := e.restoreForms(h.Snapshot)
	e.mu.Unlock()
	e.notify(reformed)
	e.handleConflicts(contract.Conflicts{LeaderAddresses: h.Addresses})
}

// quarantine holds back the reports of a source, past and future, until the source is connected.
func (e *Engine) quarantine(s *sourceState, changed time.Time) {
	if s.phase == quarantined {
		return
	}
	reported, synced, isComplete := s.guard.Reported()
	q := &quarantine{reports: map[string]update{}, synced: synced, complete: isComplete, reserved: map[mesh.Name]bool{}}
	for _, service := range reported {
		q.reports[service.Name] = update{service, e.now()}
	}
	e.mu.Lock()
	s.quarantineWith(q, changed)
	e.mu.Unlock()
	e.log.Warn(MessageQuarantined, "source", s.name)
}

// revertReports removes the reports of a quarantined source from the desired state. The live objects of its services take
// their place, and the services keep their virtual addresses.
func (e *Engine) revertReports(s *sourceState, h handover) {
	q := s.quarantine
	for _, name := range slices.Sorted(maps.Keys(q.reports)) {
		key := q.reports[name].service.Key
		if known := e.services[key]; known != nil { // merged services have another key
			q.reserved[known.name] = true
			for _, tag := range known.tags {
				q.reserved[known.name.OfTag(tag)] = true
			}
		}
		e.notify(e.applyService(catalog.Service{Key: key}, e.now()))
	}
	for name := range q.reserved {
		_, _, _ = e.addresses.pool.Take(name) // keeps the address; a full range was reported before
	}
	for name := range h.Addresses {
		if name.Source == s.name {
			q.reserved[name] = true
		}
	}
	e.metrics.lastKnownGood(s.name, h.Changed)
}

// watchQuarantined queries the registries of quarantined sources until ctx ends.
func (e *Engine) watchQuarantined(ctx context.Context) error {
	wait.Every(ctx, connectionInterval, func() {
		names := e.quarantined()
		if len(names) == 0 {
			return
		}
		failed := e.disconnected(ctx, names)
		for _, name := range names {
			if !slices.Contains(failed, name) {
				e.mailbox.setConnected(name)
			}
		}
	})
	return nil
}

// quarantined returns the names of the quarantined sources.
func (e *Engine) quarantined() (names []string) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, s := range e.sources {
		if s.phase == quarantined {
			names = append(names, s.name)
		}
	}
	return names
}

// handleConnected ends the quarantine of a source that is connected again, and applies the reports that waited.
func (e *Engine) handleConnected(source string) {
	s := e.sourceOf(source)
	if s == nil || s.phase != quarantined {
		return
	}
	e.mu.Lock()
	q := s.endQuarantine()
	e.mu.Unlock()
	e.log.Info("source connected again, applying its reports", "source", source)
	for _, name := range slices.Sorted(maps.Keys(q.reports)) {
		e.handleReport(q.reports[name])
	}
	if q.synced {
		e.handleSynced(source, q.complete)
	}
	for name := range q.reserved {
		if len(e.Desired(name).Objects) == 0 {
			e.addresses.pool.Release(name, e.now())
		}
	}
}

func servicesBySource(services []catalog.Service) map[string][]catalog.Service {
	bySource := map[string][]catalog.Service{}
	for _, service := range services {
		bySource[service.Source] = append(bySource[service.Source], service)
	}
	return bySource
}
