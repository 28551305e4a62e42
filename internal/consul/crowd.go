package consul

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// room returns how many services may hold a poll. The posts get half as many slots more than they are: one that was
// ended is free only after closeGrace, and a service that takes its place must not take that of a post.
func (s *Source) room() int {
	if s.guarded {
		return max(0, s.polls.size()-sentinels-len(s.posts)-(len(s.posts)+1)/2)
	}
	return s.polls.size()
}

// resized decides whether there are cold services. The way back has a margin, so that one service more or less
// doesn't make a line in the log each time.
func (s *Source) resized() {
	services, room := len(s.watchers), s.room()
	was := s.crowded
	s.crowded = services > room || was && services > room*9/10
	switch {
	case s.crowded && !was:
		s.log.Info("there are more services than connections to watch each, so only those that changed lately have "+
			"one and sentinels watch the rest: HTTPS, or more connections, makes changes seen at once",
			"services", services, "watched", room)
	case was && !s.crowded:
		for _, w := range s.watchers {
			s.hot.admit(w)
		}
		s.log.Info("there are connections for every service again", "services", services, "watched", room)
	}
	s.setLateness()
}

// post starts the sentinels and the sweeper, once there are cold services. They stay: Consul wakes them with every
// change, so they cost little more when they are not needed.
func (s *Source) post(ctx context.Context) {
	if !s.crowded || s.guarded {
		return
	}
	s.guarded = true
	s.cool(s.hot.resize(s.room()))
	s.watchHealth(ctx, "critical")
	s.watchHealth(ctx, "warning")
	s.watchNodes(ctx)
	s.group.Go(func() { s.sweeper.run(ctx) })
	s.setLateness()
}

// heat gives a service that changed a poll, in place of the one whose last change is the oldest.
func (s *Source) heat(w *service) {
	w.heated.Store(time.Now().UnixNano())
	s.cool(s.hot.changed(w))
}

// cool ends the polls of services and has them probed: an answer may have been under way.
func (s *Source) cool(services []*service) {
	for _, w := range services {
		w.interrupt(errTurn)
	}
	if len(services) != 0 {
		s.sweeper.probe(services)
	}
}

// cold returns the services that have no poll, those first that changed last: they are the likeliest to change again.
func (s *Source) cold() []*service {
	s.mu.Lock()
	defer s.mu.Unlock()
	var cold []*service
	for _, w := range s.watchers {
		if !w.hot.Load() {
			cold = append(cold, w)
		}
	}
	slices.SortFunc(cold, func(a, b *service) int { return cmp.Compare(b.heated.Load(), a.heated.Load()) })
	return cold
}

func (s *Source) isGuarded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.guarded
}

func (s *Source) isSynced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start.synced
}
