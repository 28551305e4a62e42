package kube

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// driftThreshold is how many drift corrections of a service come without a delay. More are probably caused by a program,
	// which would go on for ever, as fast as isthmus does.
	driftThreshold = 5
	// minDriftDelay is the first delay. Each further delay is twice as long, up to maxDriftDelay.
	minDriftDelay = time.Second
	maxDriftDelay = time.Minute
	// driftResetAfter is the time without a correction after which the count starts again. It is that of
	// flowcontrol.Backoff.
	driftResetAfter = 2 * maxDriftDelay
)

// driftBackoff delays drift corrections of a service that another client keeps changing: another isthmus with another
// configuration, or a controller. Changes of the service itself are not delayed.
type driftBackoff struct {
	log         *slog.Logger
	corrections prometheus.Counter
	backoff     *flowcontrol.Backoff

	// mu guards services. Lock order: mu, then the lock of backoff.
	mu       sync.Mutex
	services map[mesh.Name]drift
}

// drift is the recent drift of a service.
type drift struct {
	// revision is the last revision of the service that was written.
	revision uint64
	// corrections counts the corrections; last is the time of the last one.
	corrections int
	last        time.Time
	// until is when the next correction of the revision may come.
	until time.Time
}

func newDriftBackoff(log *slog.Logger, corrections prometheus.Counter) driftBackoff {
	return driftBackoff{
		log: log, corrections: corrections, services: map[mesh.Name]drift{},
		backoff: flowcontrol.NewBackOff(minDriftDelay, maxDriftDelay),
	}
}

// delay returns how long a write of a service has to wait.
func (b *driftBackoff) delay(name mesh.Name, revision uint64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if service := b.services[name]; service.revision == revision {
		return time.Until(service.until)
	}
	return 0
}

// finish notes that a service is as desired, after a number of writes. Writes of a revision that was finished before are
// a correction.
func (b *driftBackoff) finish(name mesh.Name, revision uint64, writes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	service, ok := b.services[name]
	switch {
	case !ok || service.revision != revision:
		service.revision, service.until = revision, time.Time{}
	case writes > 0:
		b.correct(name, &service)
	}
	if writes > 0 && service.corrections > driftThreshold {
		service.until = time.Now().Add(b.backoff.Get(name.String())) // This also delays the first correction of a new revision.
	}
	b.services[name] = service
}

// correct notes a drift correction. The caller holds mu.
func (b *driftBackoff) correct(name mesh.Name, service *drift) {
	now := time.Now()
	if now.Sub(service.last) > driftResetAfter {
		service.corrections = 0
	}
	service.corrections++
	service.last = now
	b.corrections.Inc()
	if service.corrections <= driftThreshold {
		return
	}
	b.backoff.Next(name.String(), now)
	if service.corrections == driftThreshold+1 {
		b.log.Error(MessageDriftBackoff, "service", name,
			"limit", maxDriftDelay, "hint", "find the other client in the managedFields of the service's objects")
	}
}

// forget drops a service of which no objects are left.
func (b *driftBackoff) forget(name mesh.Name) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.services, name)
	b.backoff.DeleteEntry(name.String())
}

// clear drops all services, because another replica may have written since.
func (b *driftBackoff) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name := range b.services {
		b.backoff.DeleteEntry(name.String())
	}
	clear(b.services)
}
