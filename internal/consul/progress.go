package consul

import "time"

// progressEvery is how often a start that takes long says how far it is.
const progressEvery = 2 * time.Second

// progress is how far the first reads of all services are.
type progress struct {
	// pending are the services of the first list that were not read yet; nil before the first list.
	pending map[string]bool
	all     int
	told    time.Time
	synced  bool
}

// begin takes the first list; others are not waited for.
func (p *progress) begin(names map[string]bool) {
	if p.pending != nil {
		return
	}
	p.pending = make(map[string]bool, len(names))
	for name := range names {
		p.pending[name] = true
	}
	p.all, p.told = len(names), time.Now()
}

// settled says that a service's first answer was reported, or that there will be none.
func (s *Source) settled(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.start.pending, name)
	s.maybeSynced()
}

func (s *Source) maybeSynced() {
	p := &s.start
	if p.synced {
		return
	}
	s.metrics.unread.Set(float64(len(p.pending)))
	if len(p.pending) != 0 {
		if time.Since(p.told) >= progressEvery {
			p.told = time.Now()
			s.log.Info("reading Consul's whole content", "read", p.all-len(p.pending), "services", p.all)
		}
		return
	}
	p.synced = true
	s.log.Info("Consul's whole content was read", "services", len(s.watchers))
	s.sink.Synced(s.opts.Name)
}
