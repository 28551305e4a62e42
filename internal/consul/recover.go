package consul

import "time"

// A sentry is a query that watches what services are found by.
type sentry interface {
	refresh()
	interrupt(why error)
}

// resync has everything read again without an index: Consul's state is another one than before.
func (s *Source) resync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watchers {
		w.forgetIndex()
		w.refresh()
	}
	for _, q := range s.sentries {
		q.refresh()
	}
	s.sweeper.hurry(true)
	s.metrics.resyncs.Inc()
	if time.Since(s.resynced) > brief {
		s.log.Info("Consul's state is another one than before, as after the restore of a snapshot: everything is read again",
			"services", len(s.watchers))
	}
	s.resynced = time.Now()
}

// retry has those in trouble try again at once, because Consul answers again.
func (s *Source) retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, w := range s.watchers {
		if s.troubles.holds(name) {
			w.refresh()
		}
	}
	for holder, q := range s.sentries {
		if s.troubles.holds(holder) {
			q.refresh()
		}
	}
	s.sweeper.hurry(false)
}

// renew has all go on with the credentials that the list has just been answered with: what is held is asked anew, what is
// in trouble is read.
func (s *Source) renew() {
	s.retry()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watchers {
		w.interrupt(errRotated)
	}
	for _, q := range s.sentries {
		q.interrupt(errRotated)
	}
}

// hurry has a sweep that failed tried again at once; with all, one is done in any case.
func (w *sweeper) hurry(all bool) {
	w.mu.Lock()
	if w.failures > 0 {
		w.rest = 0
	}
	w.demanded = w.demanded || all
	w.mu.Unlock()
	w.poke()
}
