package kube

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// maxServicesPerNamespace is how many services with WorkloadEntries one namespace can have before istiod's work per
// change gets noticeable: it looks at all WorkloadEntries of the namespace for each of these services.
const maxServicesPerNamespace = 500

// serviceState is the state that the output keeps of one service. Services without state have no entry.
type serviceState struct {
	// selectorNamespace is the namespace in which the service selects WorkloadEntries; empty if it does not.
	selectorNamespace string
	// removalStarted is when the service was removed; zero if it was not.
	removalStarted time.Time
	// initial reports whether the service is part of the initial sync and not written yet.
	initial bool
}

// services has the state of all services.
type services struct {
	log *slog.Logger

	// mu guards all fields below. It is a leaf in the lock order.
	mu     sync.Mutex
	states map[mesh.Name]serviceState
	// initialSync reports whether the initial sync has started.
	initialSync bool
	// initialPending counts the services with initial set.
	initialPending int
	// perNamespace counts the services by selectorNamespace.
	perNamespace map[string]int
	// warned reports whether the log has the warning about too many services in a namespace.
	warned bool
}

func newServices(log *slog.Logger) services {
	return services{log: log, states: map[mesh.Name]serviceState{}, perNamespace: map[string]int{}}
}

// change replaces the state of a service by a changed copy. The caller holds mu.
func (s *services) change(name mesh.Name, change func(*serviceState)) {
	state := s.states[name]
	change(&state)
	if s.states[name] = state; state == (serviceState{}) {
		delete(s.states, name)
	}
}

// startInitialSync notes the services that must be written before the output is ready. Only the first call counts.
func (s *services) startInitialSync(names []mesh.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.initialSync {
		return
	}
	s.initialSync, s.initialPending = true, len(names)
	for _, name := range names {
		s.change(name, func(state *serviceState) { state.initial = true })
	}
}

// ready returns nil if the initial sync is complete, or need not have started because the state is not complete.
func (s *services) ready(complete bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case complete && !s.initialSync:
		return fmt.Errorf("kubernetes: initial sync not started")
	case complete && s.initialPending > 0:
		return fmt.Errorf("kubernetes: initial sync has %d services left", s.initialPending)
	}
	return nil
}

// finishInitial notes that a service needs no more work for the initial sync: it is written, or it can't be.
func (s *services) finishInitial(name mesh.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.states[name].initial {
		return
	}
	s.change(name, func(state *serviceState) { state.initial = false })
	if s.initialPending--; s.initialPending == 0 {
		s.log.Info(MessageInitialSync)
	}
}

// startRemoval notes that a service was removed, and returns when that was.
func (s *services) startRemoval(name mesh.Name) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(name, func(state *serviceState) {
		if state.removalStarted.IsZero() {
			state.removalStarted = time.Now()
		}
	})
	return s.states[name].removalStarted
}

// endRemoval notes that a service is back, or that all its objects are gone.
func (s *services) endRemoval(name mesh.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(name, func(state *serviceState) { state.removalStarted = time.Time{} })
}

// setWritten notes the namespace of a service that was written, and warns once of too many services in a namespace.
func (s *services) setWritten(name mesh.Name, desired contract.Desired) {
	namespace := selectorNamespace(desired)
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.states[name].selectorNamespace
	if before == namespace {
		return
	}
	s.change(name, func(state *serviceState) { state.selectorNamespace = namespace })
	if before != "" {
		s.perNamespace[before]--
	}
	if namespace == "" {
		return
	}
	s.perNamespace[namespace]++
	if s.perNamespace[namespace] > maxServicesPerNamespace && !s.warned {
		s.warned = true
		s.log.Warn(MessageCrowded,
			"namespace", namespace, "count", s.perNamespace[namespace],
			"hint", "set kubernetes.shards, or set mesh.endpoints to inline")
	}
}

// selectorNamespace returns the namespace in which a service selects WorkloadEntries, and "" if it does not.
func selectorNamespace(desired contract.Desired) string {
	if len(desired.Objects) == 0 {
		return ""
	}
	entry, ok := desired.Objects[0].Spec.(*networking.ServiceEntry)
	if !ok || entry.WorkloadSelector == nil {
		return ""
	}
	return desired.Objects[0].Namespace
}
