package consul

import "time"

// resyncLogInterval is the time in which a further resync is not logged.
const resyncLogInterval = time.Minute

// messageResync is logged when everything is read again.
const messageResync = "Consul has another state, reading everything again"

// resync reads everything again without an index, because Consul has another state than before.
func (s *Source) resync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.services {
		w.Forget()
		w.Refresh()
	}
	s.detector.Refresh()
	if s.defaults != nil {
		s.defaults.Forget()
		s.defaults.Refresh()
	}
	s.metrics.resyncs.Inc()
	if time.Since(s.resyncedAt) > resyncLogInterval {
		s.log.Info(messageResync, "services", len(s.services), "hint", "expected after a snapshot was restored")
	}
	s.resyncedAt = time.Now()
}

// retryFailing retries the failing queries at once, because Consul answers again.
func (s *Source) retryFailing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, w := range s.services {
		if s.failures.Failing(name) {
			w.Refresh()
		}
	}
	s.detector.RetryFailing()
	if s.defaults != nil && s.failures.Failing(defaultsID) {
		s.defaults.Refresh()
	}
}

// onCredentialsChanged continues with the credentials that the list was answered with: it sends each poll again and retries
// the failing queries.
func (s *Source) onCredentialsChanged() {
	s.retryFailing()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.services {
		w.Interrupt()
	}
	s.detector.Interrupt()
	if s.defaults != nil {
		s.defaults.Interrupt()
	}
}
