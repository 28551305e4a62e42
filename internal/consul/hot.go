package consul

import (
	chain "container/list"
	"context"
	"sync"
)

// A budget decides which services have a long poll, where there are fewer connections than services. These are
// hot: they changed lately. The others are cold: sentinels and sweeps find what changed among them.
type budget struct {
	mu     sync.Mutex
	size   int
	recent *chain.List // of *service, the one that changed last in front
	in     map[*service]*chain.Element
}

func newBudget() *budget { return &budget{recent: chain.New(), in: map[*service]*chain.Element{}} }

// resize sets how many may be hot and returns those that must cool for it.
func (b *budget) resize(size int) []*service {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size = size
	return b.trim()
}

// admit makes a service hot if there is room.
func (b *budget) admit(w *service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.in[w] == nil && len(b.in) < b.size {
		b.in[w] = b.recent.PushFront(w)
		w.warm()
	}
}

// changed makes a service hot, and returns who must cool for it: the one whose last change is the oldest.
func (b *budget) changed(w *service) []*service {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at := b.in[w]; at != nil {
		b.recent.MoveToFront(at)
		return nil
	}
	if b.size == 0 {
		return nil
	}
	b.in[w] = b.recent.PushFront(w)
	w.warm()
	return b.trim()
}

// drop forgets a service that is watched no more.
func (b *budget) drop(w *service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at := b.in[w]; at != nil {
		b.recent.Remove(at)
		delete(b.in, w)
	}
}

func (b *budget) trim() []*service {
	var cooled []*service
	for len(b.in) > b.size {
		w := b.recent.Remove(b.recent.Back()).(*service)
		delete(b.in, w)
		w.hot.Store(false)
		cooled = append(cooled, w)
	}
	return cooled
}

func (w *service) warm() {
	w.hot.Store(true)
	select {
	case w.warmed <- struct{}{}:
	default:
	}
}

// whenHot waits until the service may hold a poll. Refresh ends the wait, as it ends a poll.
func (w *service) whenHot(ctx context.Context) error {
	for !w.hot.Load() {
		select {
		case <-w.warmed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return w.source.whenRead(ctx)
}

// suspect has a service read, because a sentinel saw that it changed. A hot one's own poll tells.
func (w *service) suspect() {
	if !w.hot.Load() {
		w.refresh()
	}
}

// probed takes a service's newest index. The service is read if that isn't the index of what is known; a read that
// is under way is judged when its answer comes.
func (w *service) probed(index uint64) {
	w.mu.Lock()
	w.seen = index
	old := !w.reading && !w.stale && w.known != index
	w.mu.Unlock()
	if old {
		w.refresh()
	}
}

// learned notes the index of an answer that was taken. One that is older than what a probe saw is read again. One that
// went back means that a snapshot was restored; the list looks, which else may notice only when its wait is over.
func (w *service) learned(index uint64) {
	w.mu.Lock()
	again, back := w.seen > index, index < w.known
	w.known, w.seen = index, 0
	w.mu.Unlock()
	w.source.sweeper.explain(index)
	if back {
		w.source.list.refresh()
	}
	if again {
		w.refresh()
	}
}

// forgetIndex has the next index compared with none: Consul's state is another one.
func (w *service) forgetIndex() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known, w.seen = 0, 0
}
