package consul

import "time"

// readSlack is what the read of a service that was found to have changed may wait for others.
const readSlack = 500 * time.Millisecond

func (s *Source) showLateness() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLateness()
}

func (s *Source) setLateness() {
	late := time.Duration(0)
	if s.crowded {
		late = s.sweeper.lateness(len(s.watchers))
	}
	s.metrics.lateness.Set(late.Seconds())
}

// sentinelGap takes how long a sentinel rests after an answer.
func (w *sweeper) sentinelGap(name string, gap time.Duration) {
	w.mu.Lock()
	w.gaps[name] = gap
	w.mu.Unlock()
	w.source.showLateness()
}

// forgetGap forgets a sentinel that has ended.
func (w *sweeper) forgetGap(name string) {
	w.mu.Lock()
	delete(w.gaps, name)
	w.mu.Unlock()
}

// lateness returns how late the change of a cold service can be seen: a sentinel is at rest, nothing explains what
// it then tells, a sweep has just passed the service, and the next one finds it last.
func (w *sweeper) lateness(services int) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	gap, took := listGap(services), w.took
	for _, g := range w.gaps {
		gap = max(gap, g)
	}
	if took == 0 { // no sweep yet
		took = time.Duration(services) * time.Millisecond
	}
	late := jitterMost(gap) + w.grace() + jitterMost(restAfter(took)) + 2*took + readSlack
	if w.source.polls.size() < sentinels {
		late += (sentinels - 1) * jitterMost(shortWait) * 17 / 16
	}
	return late
}
