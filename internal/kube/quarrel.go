package kube

import (
	"log/slog"
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// tolerated is how often a service is put right at once after somebody else has changed what we wrote. Who does
	// it more often is likely a program, which would go on for ever, as fast as we do.
	tolerated = 5
	// A service that is fought for is put right after firstPause, then each time after twice as long up to lastPause.
	firstPause = time.Second
	lastPause  = time.Minute
	// truce is how long nobody else must have changed a service for the fight to be over.
	truce = 2 * lastPause
)

// quarrels slow us down where somebody else keeps changing what we wrote: another isthmus with another configuration,
// or a controller with an opinion. What changes in the registry is written at once all the same.
type quarrels struct {
	log      *slog.Logger
	rewrites prometheus.Counter

	mu       sync.Mutex
	services map[mesh.Name]quarrel
}

// quarrel is what happened to a service since its newest revision was written.
type quarrel struct {
	revision uint64
	rewrites int
	last     time.Time
	until    time.Time
}

// pause returns how long a service has to wait before it is put right again.
func (q *quarrels) pause(name mesh.Name, revision uint64) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	service := q.services[name]
	if service.revision != revision {
		return 0
	}
	return time.Until(service.until)
}

// settled notes that a service is as it should be, and how many writes that took. Those of a revision that had been
// settled before undo what somebody else did.
func (q *quarrels) settled(name mesh.Name, desired contract.Desired, writes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.services == nil {
		q.services = map[mesh.Name]quarrel{}
	}
	service, ok := q.services[name]
	switch {
	case !ok || service.revision != desired.Revision:
		service = quarrel{revision: desired.Revision, rewrites: service.rewrites, last: service.last}
	case writes > 0:
		if time.Since(service.last) > truce {
			service.rewrites = 0
		}
		service.rewrites++
		service.last = time.Now()
		q.rewrites.Inc()
	}
	if excess := service.rewrites - tolerated; excess > 0 && writes > 0 {
		service.until = time.Now().Add(min(firstPause<<min(excess-1, 10), lastPause))
		if excess == 1 {
			q.log.Error("somebody else keeps changing what isthmus wrote: find out who, by the object's managedFields; "+
				"until then it is put right ever more rarely", "service", name, "longest", lastPause)
		}
	}
	q.services[name] = service
}

// forget drops a service of which nothing is left.
func (q *quarrels) forget(name mesh.Name) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.services, name)
}

// clear drops everything: another replica may have written since.
func (q *quarrels) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.services = nil
}
