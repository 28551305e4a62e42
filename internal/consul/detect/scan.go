package detect

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/wait"

	"github.com/isthmus-mesh/isthmus/internal/consul/blocking"
	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

const (
	// An index query costs Consul 0.2 ms of CPU. The pause after a scan is three times as long as the scan: scans take at most
	// a quarter of the time, independent of the number of services.
	scanPauseFactor = 3
	minScanPause    = 50 * time.Millisecond
	// The scan that verifies attributions waits so many times the duration of a scan: it takes half a percent of the time.
	verifyFactor = 200
	// DefaultVerifyAfter is the minimum time before the scan that verifies attributions.
	DefaultVerifyAfter = 10 * time.Second
	// maxSyncDelay is how long the initial sync may delay the first scan.
	maxSyncDelay = time.Minute

	scanEndpoint = "scan"
)

// scanID is the ID of the scan for failure.Tracker.
var scanID = queryID(scanEndpoint)

// scanner runs the index scans: it queries the index of each unwatched service and reads those whose index differs. The
// package comment says when.
type scanner struct {
	detector *Detector
	wake     wait.Signal

	// mu guards the fields below. It is a leaf except for the locks of failure.Tracker.
	mu sync.Mutex
	// queued are services that were demoted and need an index query.
	queued []*Service
	// demanded means that a scan is due as soon as the pause is over.
	demanded bool
	// pending are the changes of the list that are not attributed.
	pending pendingIndexes
	// watchPauses are the current pauses of the watches by name.
	watchPauses map[string]time.Duration
	// duration is the duration of a scan: that of the last one, or most of a slower one before it.
	duration time.Duration
	// listChangedAt is when the list changed last.
	listChangedAt time.Time
	// began is when the last scan began.
	began time.Time
	// ended is when the last scan ended.
	ended time.Time
	// failures counts the scans that failed in a row.
	failures int
	// pause is the pause after the last scan.
	pause time.Duration
}

func newScanner(d *Detector) *scanner {
	return &scanner{detector: d, wake: wait.NewSignal(), watchPauses: map[string]time.Duration{}}
}

// demand requests a scan after the pause of the last one.
func (s *scanner) demand() {
	s.mu.Lock()
	s.demanded = true
	s.mu.Unlock()
	s.wake.Notify()
}

// retry repeats a failed scan at once. With force it also requests a scan if none failed.
func (s *scanner) retry(force bool) {
	s.mu.Lock()
	if s.failures > 0 {
		s.pause = 0
	}
	s.demanded = s.demanded || force
	s.mu.Unlock()
	s.wake.Notify()
}

// queue requests an index query for each of the services, at once.
func (s *scanner) queue(services []*Service) {
	s.mu.Lock()
	s.queued = append(s.queued, services...)
	s.mu.Unlock()
	s.wake.Notify()
}

// listChanged handles a change of the list. A poll that was not held can cover several changes.
func (s *scanner) listChanged(index uint64, held bool) {
	nodesWatched := s.detector.nodesWatched() // acquires Detector.mu, so before s.mu
	s.mu.Lock()
	s.listChangedAt = time.Now()
	switch {
	case nodesWatched: // the watch of the node shows which service changed
	case held:
		s.pending.add(index, s.listChangedAt.Add(s.attributionTimeout()))
	default:
		s.demanded = true
	}
	s.mu.Unlock()
	s.wake.Notify()
}

// attribute removes the index from the pending ones.
func (s *scanner) attribute(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending.attribute(index)
}

func (s *scanner) status(status *Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status.ScanDemanded, status.PendingIndexes = s.demanded, len(s.pending.pending)
	status.ListChangedAt, status.ScanEndedAt = s.listChangedAt, s.ended
}

// run scans until ctx ends.
func (s *scanner) run(ctx context.Context) {
	began := time.Now()
	periodic := began.Add(blocking.Jitter(s.detector.Wait))
	for ctx.Err() == nil {
		s.queryQueued(ctx)
		now := time.Now()
		at := s.next(now, periodic)
		if !s.detector.Synced() && now.Sub(began) < maxSyncDelay {
			at = now.Add(minScanPause)
		} else if !at.After(now) {
			s.scan(ctx)
			periodic = time.Now().Add(blocking.Jitter(s.detector.Wait))
			continue
		}
		wait.SleepUntil(ctx, at.Sub(now), s.wake)
	}
}

// next returns when the next scan is due; the periodic one at the latest.
func (s *scanner) next(now, periodic time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	expired, deadline := s.pending.expire(now)
	s.demanded = s.demanded || expired
	if s.demanded {
		return s.ended.Add(s.pause)
	}
	at := periodic
	if verify := s.ended.Add(s.verifyAfter()); s.listChangedAt.After(s.began) && verify.Before(at) {
		at = verify
	}
	if !deadline.IsZero() && deadline.Before(at) {
		return deadline
	}
	return at
}

// verifyAfter returns the time between a scan and the scan that verifies attributions.
func (s *scanner) verifyAfter() time.Duration {
	return max(verifyFactor*s.duration, s.detector.VerifyAfter)
}

func (s *scanner) queryQueued(ctx context.Context) {
	s.mu.Lock()
	queued := s.queued
	s.queued = nil
	s.mu.Unlock()
	if err := s.queryAll(ctx, queued); err != nil {
		s.demand()
	}
}

// scan queries the index of all unwatched services. Changes during the scan are left to the next one.
func (s *scanner) scan(ctx context.Context) {
	s.mu.Lock()
	s.demanded, s.began = false, time.Now()
	s.mu.Unlock()
	err := s.queryAll(ctx, s.detector.unwatched())
	if ctx.Err() != nil {
		return
	}
	s.finish(err)
	s.detector.showMaxStaleness()
}

// finish records the end of a scan and determines the pause.
func (s *scanner) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = time.Now()
	if errors.Is(err, blocking.ErrRotated) {
		s.demanded, s.pause = true, 0
		return
	}
	if err != nil {
		r := failure.Classify(err)
		s.failures++
		s.demanded, s.pause = true, blocking.Backoff(r, s.failures)
		s.detector.Query.Failures.Set(scanID, scanEndpoint, r, err)
		return
	}
	s.failures = 0
	s.detector.Query.Failures.Clear(scanID)
	s.duration = max(s.ended.Sub(s.began), s.duration*3/4)
	s.pause = blocking.Jitter(pauseAfter(s.duration))
}

func pauseAfter(duration time.Duration) time.Duration {
	return max(scanPauseFactor*duration, minScanPause)
}

// attributionTimeout returns how long a change of the list waits for the response of the service that changed. The cheaper
// the scan, the shorter the wait.
func (s *scanner) attributionTimeout() time.Duration {
	if s.duration == 0 {
		return MaxAttributionTimeout
	}
	return min(max(s.duration/2, minAttributionTimeout), MaxAttributionTimeout)
}
