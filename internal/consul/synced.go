package consul

import (
	"maps"
	"slices"
	"time"
)

// settled says that a service's first answer was reported, or that there will be none.
func (s *Source) settled(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.start.pending, name)
	delete(s.start.excused, name)
	delete(s.start.refused, name)
	if s.start.read != nil {
		s.start.read[name] = true
	}
	s.maybeSynced()
}

// excuse has a start not wait for a service that can't be read by its own fault.
func (s *Source) excuse(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.start.pending[name] {
		s.start.excused[name] = true
		delete(s.start.refused, name)
		s.maybeSynced()
	}
}

// refusal notes that Consul doesn't answer for a service, and has the list asked once that is so for all that a start
// waits for.
func (s *Source) refusal(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.start; p.pending[name] && !p.excused[name] {
		p.refused[name] = true
		if p.refusedRest() {
			s.list.refresh()
		}
	}
}

// refusedRest says that all that a start waits for are refused, and the fewer ones: else the trouble is Consul's own.
func (p *progress) refusedRest() bool {
	return len(p.refused) > 0 && len(p.refused)+len(p.excused) == len(p.pending) && len(p.pending) <= p.all/2
}

// weigh excuses the services that Consul refused, because it answers the list. Where it has just begun to answer again,
// they get another chance.
func (s *Source) weigh(recovered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.start
	if !recovered && !p.refusedRest() {
		return
	}
	if !recovered {
		maps.Copy(p.excused, p.refused)
	}
	clear(p.refused)
	s.maybeSynced()
}

// mustBeRead says that an answer of the list shows more than one before could: it is what removes, so a read has to say
// it.
func (s *Source) mustBeRead(whole bool, index uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return whole && index != 0 && !s.start.whole
}

func (s *Source) maybeSynced() {
	p := s.start
	s.metrics.unread.Set(float64(len(p.pending)))
	if p.syncedWhole || p.synced && !p.whole {
		return
	}
	if len(p.pending) > len(p.excused) {
		if time.Since(p.told) >= progressEvery {
			p.told = time.Now()
			s.log.Info("reading Consul's whole content", "read", p.all-len(p.pending), "services", p.all)
		}
		return
	}
	p.synced, p.syncedWhole = true, p.whole
	message, attrs := "Consul's whole content was read", []any{"services", len(s.watchers)}
	if !p.whole {
		message = "what ACLs show of Consul's content was read; what they hide stays as it was"
	}
	if unread := slices.Sorted(maps.Keys(p.excused)); len(unread) > 0 {
		attrs = append(attrs, "unread", len(unread), "first", unread[0])
	}
	s.log.Info(message, attrs...)
	s.sink.Synced(s.opts.Name, p.whole)
}
