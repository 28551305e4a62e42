package consul

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// A sweep costs Consul 0.2 ms of CPU a service, so the next one waits several times as long as it took, and so
	// takes no more than a quarter of the time, however many services there are.
	sweepRest   = 3
	sweepGapMin = 50 * time.Millisecond
	// What seems explained is swept too, after so many times what a sweep takes: half a percent of the time.
	quietRest   = 200
	quietGapMin = 10 * time.Second
	// startGrace is how long a start may put off the first sweep.
	startGrace = time.Minute
)

// A sweeper finds the cold services that changed, where no sentinel says which did: it asks each for its index
// alone, and has those read whose index moved. It sweeps
//
//   - soon, when something changed that nothing explains;
//   - later, when all that changed is explained: the same index may be that of others too (a transaction), and a
//     second change that came at once may hide behind it;
//   - once each wait, for what wakes no sentinel.
type sweeper struct {
	source *Source
	wake   chan struct{}

	mu sync.Mutex
	// cooled are services that lost their poll, and with it perhaps an answer.
	cooled   []*service
	demanded bool
	doubts   doubtList
	gaps     map[string]time.Duration
	// took is how long a sweep takes: the last one, or most of what a slower one before it took.
	took time.Duration
	// told is when the list last told a change; the last sweep went from began to ended.
	told, began, ended time.Time
	failures           int
	rest               time.Duration
}

func newSweeper(s *Source) *sweeper {
	return &sweeper{source: s, wake: make(chan struct{}, 1), gaps: map[string]time.Duration{}}
}

func (w *sweeper) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// demand has a sweep done as soon as the last one is long enough ago.
func (w *sweeper) demand() {
	w.mu.Lock()
	w.demanded = true
	w.mu.Unlock()
	w.poke()
}

// probe has single services asked for their index at once.
func (w *sweeper) probe(cooled []*service) {
	w.mu.Lock()
	w.cooled = append(w.cooled, cooled...)
	w.mu.Unlock()
	w.poke()
}

// woken takes the index of an answer of the list. One that was not held may hide several changes.
func (w *sweeper) woken(index uint64, held bool) {
	posted := w.source.posted()
	w.mu.Lock()
	w.told = time.Now()
	switch {
	case posted: // whose it is, the answer about its node tells
	case held:
		w.doubts.raise(index, w.told.Add(w.grace()))
	default:
		w.demanded = true
	}
	w.mu.Unlock()
	w.poke()
}

// explain takes the index of a service's answer: the change of that index is known now.
func (w *sweeper) explain(index uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doubts.explain(index)
}

// run sweeps until ctx ends.
func (w *sweeper) run(ctx context.Context) {
	began := time.Now()
	round := began.Add(jitter(w.source.opts.Wait))
	for ctx.Err() == nil {
		w.probeCooled(ctx)
		now := time.Now()
		at := w.next(now, round)
		if !w.source.isSynced() && now.Sub(began) < startGrace {
			at = now.Add(sweepGapMin)
		} else if !at.After(now) {
			w.sweep(ctx)
			round = time.Now().Add(jitter(w.source.opts.Wait))
			continue
		}
		w.sleep(ctx, at.Sub(now))
	}
}

func (w *sweeper) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.wake:
	case <-ctx.Done():
	}
}

// next returns when the next sweep is due.
func (w *sweeper) next(now, round time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	expired, deadline := w.doubts.expire(now)
	w.demanded = w.demanded || expired
	if w.demanded {
		return w.ended.Add(w.rest)
	}
	if quiet := w.ended.Add(w.quietAfter()); w.told.After(w.began) && quiet.Before(round) {
		round = quiet
	}
	if !deadline.IsZero() && deadline.Before(round) {
		return deadline
	}
	return round
}

// quietAfter returns how long after a sweep the next one looks for what explanations have hidden.
func (w *sweeper) quietAfter() time.Duration {
	return max(quietRest*w.took, w.source.opts.quiet)
}

func (w *sweeper) probeCooled(ctx context.Context) {
	w.mu.Lock()
	cooled := w.cooled
	w.cooled = nil
	w.mu.Unlock()
	if err := w.probeAll(ctx, cooled); err != nil {
		w.demand()
	}
}

// sweep probes all cold services. What changes meanwhile is for the next one.
func (w *sweeper) sweep(ctx context.Context) {
	w.mu.Lock()
	w.demanded, w.began = false, time.Now()
	w.mu.Unlock()
	err := w.probeAll(ctx, w.source.cold())
	if ctx.Err() != nil {
		return
	}
	w.finish(err)
	w.source.showLateness()
}

func (w *sweeper) finish(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = time.Now()
	if errors.Is(err, errRotated) {
		w.demanded, w.rest = true, 0
		return
	}
	if err != nil {
		r := classify(err)
		w.failures++
		w.demanded, w.rest = true, delay(r, w.failures)
		w.source.troubles.set("/sweep", "sweep", r, err)
		return
	}
	w.failures = 0
	w.source.troubles.clear("/sweep")
	w.took = max(w.ended.Sub(w.began), w.took*3/4)
	w.rest = jitter(restAfter(w.took))
}

func restAfter(took time.Duration) time.Duration { return max(sweepRest*took, sweepGapMin) }

// grace returns how long an explanation is waited for: the less a sweep takes, the less is lost by one too many.
func (w *sweeper) grace() time.Duration {
	if w.took == 0 {
		return doubtGraceMax
	}
	return min(max(w.took/2, doubtGraceMin), doubtGraceMax)
}
