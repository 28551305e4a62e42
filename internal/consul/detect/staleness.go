package detect

import (
	"time"

	"github.com/isthmus-mesh/isthmus/internal/consul/blocking"
)

// readSlack is how long the read of a changed service may wait for other reads.
const readSlack = 500 * time.Millisecond

func (d *Detector) showMaxStaleness() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.setMaxStaleness()
}

// setMaxStaleness updates the metric. The caller holds Detector.mu.
func (d *Detector) setMaxStaleness() {
	staleness := time.Duration(0)
	if d.oversubscribed {
		staleness = d.scanner.maxStaleness(len(d.services))
	}
	d.MaxStaleness.Set(staleness.Seconds())
}

// setWatchPause records the pause of a watch after a response.
func (s *scanner) setWatchPause(name string, pause time.Duration) {
	s.mu.Lock()
	s.watchPauses[name] = pause
	s.mu.Unlock()
	s.detector.showMaxStaleness()
}

// removeWatchPause forgets a watch that has ended.
func (s *scanner) removeWatchPause(name string) {
	s.mu.Lock()
	delete(s.watchPauses, name)
	s.mu.Unlock()
}

// maxStaleness returns the longest delay with which a change of an unwatched service is seen. The worst case is the longest
// pause of a watch, the attribution timeout, the pause between scans, and two scans, because the first has just passed the
// service and the second reaches it last.
func (s *scanner) maxStaleness(services int) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	pause, duration := s.detector.ListPause(services), s.duration
	for _, p := range s.watchPauses {
		pause = max(pause, p)
	}
	if duration == 0 { // before the first scan
		duration = time.Duration(services) * time.Millisecond
	}
	staleness := blocking.MaxJitter(pause) + s.attributionTimeout() + blocking.MaxJitter(pauseAfter(duration)) + 2*duration + readSlack
	if s.detector.Polls.Size() < changeWatches {
		staleness += (changeWatches - 1) * blocking.MaxJitter(turnWait) * 17 / 16
	}
	return staleness
}
