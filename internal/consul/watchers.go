package consul

import (
	"context"
	"time"
)

const (
	// shortWait is how long a sentinel is held where they take turns on too few connections.
	shortWait = time.Second
	// maxReads bounds the reads without an index: a start or a resync must not flood Consul.
	maxReads = 64
)

// open makes the pools, once the first answer has shown which HTTP Consul speaks. Its own connection
// stays with the list, so that neither reads nor polls can hold it up.
func (s *Source) open(ctx context.Context, services int) {
	if s.reads != nil {
		s.widen(ctx, services)
		return
	}
	short := min(maxReads, max(1, s.opts.Connections/10)) // they are short, the polls are not
	reads, polls := newPool(short, s.transport), newPool(s.opts.Connections-1-short, s.transport)
	if s.router.http2.Load() {
		reads = newSharedPool(1, maxReads, s.transport)
		polls = newSharedPool(s.opts.Connections-2, streams, s.transport)
	}
	s.mu.Lock()
	s.reads, s.polls = reads, polls
	s.mu.Unlock()
	s.widen(ctx, services)
}

// follow takes the newest list of names: it starts to watch the new ones and has those that left asked
// again, because the list alone is not believed when it removes. A list that ACLs have cut is not whole.
func (s *Source) follow(ctx context.Context, names map[string]bool, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.listed
	s.listed = names
	first := s.start.begin(names, whole)
	s.hot.resize(s.room()) // before the first of them is read
	for name := range names {
		if s.watchers[name] == nil {
			w := newService(s, name)
			w.first = first
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
	s.post(ctx)
	s.maybeSynced()
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
	s.hot.drop(s.watchers[name])
	s.owners.move(name, s.watchers[name].last.Instances, nil)
	delete(s.watchers, name)
	s.selector.forget(name)
	s.troubles.clear(name)
	s.resized()
	return true
}
