package consul

import (
	"context"
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
	// pending are the services of the first list that were not read yet; nil before the first list.
	pending map[string]bool
	all     int
	told    time.Time
	synced  bool
	// unasked is how many of them had no answer at all yet. Then, or after startHold, polls is closed.
	unasked int
	polls   chan struct{}
	open    sync.Once
}

func newProgress() *progress { return &progress{polls: make(chan struct{})} }

// begin takes the first list, and says whether it is the first; others are not waited for.
func (p *progress) begin(names map[string]bool) bool {
	if p.pending != nil {
		return false
	}
	p.pending = make(map[string]bool, len(names))
	for name := range names {
		p.pending[name] = true
	}
	p.all, p.told, p.unasked = len(names), time.Now(), len(names)
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
	late := time.Duration(max(0, s.start.all-pollsAtOnce)) * pollEach
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

// settled says that a service's first answer was reported, or that there will be none.
func (s *Source) settled(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.start.pending, name)
	s.maybeSynced()
}

func (s *Source) maybeSynced() {
	p := s.start
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
