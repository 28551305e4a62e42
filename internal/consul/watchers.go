package consul

import (
	"context"
	"time"
)

const (
	// shortWait is how long a poll is held when the services take turns on too few connections.
	shortWait = time.Second
	// maxReads bounds the reads without an index: a start or a resync must not flood Consul.
	maxReads = 64
	// streams is how many requests share one HTTP/2 connection. Consul allows 250, a proxy in front of it
	// often no more than the 100 that RFC 9113 asks for; what is above its limit would wait unnoticed.
	streams = 100
)

// open makes the pools, once the first answer has shown which HTTP Consul speaks. Its own connection
// stays with the list, so that neither reads nor polls can hold it up.
func (s *Source) open() {
	if s.reads != nil {
		return
	}
	if s.router.http2.Load() {
		s.reads = newSharedPool(1, maxReads, s.transport)
		s.polls = newSharedPool(s.opts.Connections-2, streams, s.transport)
		return
	}
	reads := min(maxReads, max(1, s.opts.Connections/10)) // they are short, the polls are not
	s.reads = newPool(reads, s.transport)
	s.polls = newPool(s.opts.Connections-1-reads, s.transport)
}

// follow takes the newest list of names: it starts to watch the new ones and has those that left asked
// again, because the list alone is not believed when it removes.
func (s *Source) follow(ctx context.Context, names map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.listed
	s.listed = names
	if s.pending == nil {
		s.pending = make(map[string]bool, len(names))
		for name := range names {
			s.pending[name] = true
		}
	}
	for name := range names {
		if s.watchers[name] == nil {
			w := newService(s, name)
			s.watchers[name] = w
			s.group.Go(func() { w.run(ctx) })
		}
	}
	for name := range before {
		if w := s.watchers[name]; w != nil && !names[name] {
			w.refresh()
		}
	}
	s.resized()
	s.maybeSynced()
}

// resync has every service read again without an index: Consul's state is another one than before.
func (s *Source) resync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watchers {
		w.refresh()
	}
}

// retry has the services in trouble try again at once, because Consul answers again.
func (s *Source) retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, w := range s.watchers {
		if s.troubles.holds(name) {
			w.refresh()
		}
	}
}

// isListed says whether Consul's newest list holds the name.
func (s *Source) isListed(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listed[name]
}

// leave ends the watch of a service without instances, or that is no longer selected, unless the list holds its name
// (again).
func (s *Source) leave(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listed[name] {
		return false
	}
	delete(s.watchers, name)
	s.selector.forget(name)
	s.troubles.clear(name)
	s.resized()
	return true
}

// settled says that a service's first answer was reported, or that there will be none.
func (s *Source) settled(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, name)
	s.maybeSynced()
}

func (s *Source) maybeSynced() {
	if s.synced || len(s.pending) != 0 {
		return
	}
	s.synced = true
	s.log.Info("Consul's whole content was read", "services", len(s.watchers))
	s.sink.Synced(s.opts.Name)
}

// resized decides whether the polls must take turns. Long polls that are held when it becomes necessary
// are cut short; the way back has a margin, so that one service more or less doesn't cut them each time.
func (s *Source) resized() {
	services, slots := len(s.watchers), s.polls.size()
	was := s.crowded
	s.crowded = services > slots || was && services > slots*9/10
	late := s.lateness(services, slots)
	s.metrics.lateness.Set(late.Seconds())
	if was == s.crowded {
		return
	}
	if !s.crowded {
		s.log.Info("there are connections for every service again", "services", services, "polls", slots)
		return
	}
	s.log.Warn("there are more services than connections to watch them, so they take turns: "+
		"raise connections (and limits.http_max_conns_per_client in Consul), or use HTTPS",
		"services", services, "polls", slots, "seconds_late_at_most", int(late.Seconds()))
	for _, w := range s.watchers {
		w.interrupt(errTurn)
	}
}

// lateness returns how long a change can stay unseen, because its service waits for its turn. Consul adds
// up to a sixteenth to a wait.
func (s *Source) lateness(services, slots int) time.Duration {
	if !s.crowded {
		return 0
	}
	turns := (services + slots - 1) / slots
	return time.Duration(turns) * shortWait * 17 / 16
}

// pollWait returns how long the next poll of a service may be held.
func (s *Source) pollWait() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crowded {
		return jitter(shortWait)
	}
	return jitter(s.opts.Wait)
}
