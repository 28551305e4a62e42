package consul

import (
	"context"
	"maps"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// progressEvery is how often a start that takes long says how far it is.
	progressEvery = 2 * time.Second
	// startHold is how long the polls may wait for the first reads. A first poll costs Consul more than a read, and
	// ten thousand at once would hold the reads up.
	startHold = 15 * time.Second
	// pollsAtOnce may begin together, the others one each pollEach.
	pollsAtOnce = 1000
	pollEach    = time.Millisecond
)

// progress is how far the first reads of all services are.
type progress struct {
	// pending are the services of the first list that were not read yet; nil before the first list. Those of them that
	// are excused can't be read, and aren't waited for; refused are those that may be so.
	pending, excused, refused map[string]bool
	// read are those that were, while no list was whole.
	read map[string]bool
	all  int
	told time.Time
	// whole says that a list was taken that no ACL has cut, synced and syncedWhole what the sink was told.
	whole, synced, syncedWhole bool
	// unasked is how many of them had no answer at all yet. Then, or after startHold, polls is closed.
	unasked int
	polls   chan struct{}
	open    sync.Once
}

func newProgress() *progress {
	return &progress{
		polls: make(chan struct{}), excused: map[string]bool{}, refused: map[string]bool{}, read: map[string]bool{},
	}
}

// begin takes a list, and says whether it is the first. Others are not waited for, but for the first one that is whole.
func (p *progress) begin(names map[string]bool, whole bool) bool {
	first := p.pending == nil
	if !first && (p.whole || !whole) {
		return false
	}
	p.pending = make(map[string]bool, len(names))
	for name := range names {
		if !p.read[name] {
			p.pending[name] = true
		}
	}
	if p.whole = whole; whole {
		p.read = nil
	}
	gone := func(name string, _ bool) bool { return !p.pending[name] }
	maps.DeleteFunc(p.excused, gone)
	maps.DeleteFunc(p.refused, gone)
	if p.all = len(names); !first {
		return false
	}
	p.told, p.unasked = time.Now(), len(names)
	if len(names) == 0 {
		p.openPolls()
		return true
	}
	time.AfterFunc(startHold, p.openPolls)
	return true
}

func (p *progress) openPolls() { p.open.Do(func() { close(p.polls) }) }

// asked says that the first request of a service was answered, well or not.
func (s *Source) asked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.start.unasked--; s.start.unasked == 0 {
		s.start.openPolls()
	}
}

// whenRead waits until the first reads of all services are over, and then a while for those that poll first.
func (s *Source) whenRead(ctx context.Context) error {
	select {
	case <-s.start.polls:
		return nil
	default:
	}
	select {
	case <-s.start.polls:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.mu.Lock()
	late := time.Duration(max(0, s.start.all-pollsAtOnce)) * pollEach
	s.mu.Unlock()
	if late == 0 {
		return nil
	}
	timer := time.NewTimer(rand.N(late))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
