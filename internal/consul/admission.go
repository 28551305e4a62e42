package consul

import (
	"cmp"
	"container/heap"
	"context"
	"maps"
	"slices"
	"time"
)

// admitPause is the time from the moment that a service leaves to the read of the list for those that wait.
const admitPause = time.Second

// maxConfirmations is how many services above the limit are read at the same time to confirm that they are gone.
const maxConfirmations = 1000

// admission selects the new services of a list that the source has room for: the preferred ones, then the first by name. So
// the choice does not depend on the order of the list, and its memory does not depend on the length of the list.
type admission struct {
	room int
	// chosen is a heap with the last choice on top.
	chosen candidates
	// names has the names in chosen, because a list may have a name twice.
	names map[string]bool
	// waiting is the number of names without room.
	waiting int
}

// candidate is a name that is not followed.
type candidate struct {
	name      string
	tags      uint64
	preferred bool
}

func newAdmission(room int) *admission {
	return &admission{room: max(0, room), names: map[string]bool{}}
}

// offer decides about one name.
func (a *admission) offer(name []byte, tags uint64, preferred bool) {
	if a.names[string(name)] {
		return
	}
	full := len(a.chosen) >= a.room
	if full {
		a.waiting++
	}
	if full && (a.room == 0 || !precedes(preferred, string(name), a.chosen[0])) {
		return
	}
	if full {
		delete(a.names, a.chosen[0].name)
		heap.Pop(&a.chosen)
	}
	c := candidate{string(name), tags, preferred}
	a.names[c.name] = true
	heap.Push(&a.chosen, c)
}

// precedes reports whether a name comes before a candidate.
func precedes(preferred bool, name string, other candidate) bool {
	if preferred != other.preferred {
		return preferred
	}
	return name < other.name
}

// addTo adds the chosen names to a list.
func (a *admission) addTo(l *listing) {
	for _, c := range a.chosen {
		l.names[c.name] = c.tags
	}
	l.waiting = a.waiting
}

// candidates implements heap.Interface.
type candidates []candidate

func (c candidates) Len() int           { return len(c) }
func (c candidates) Less(i, j int) bool { return precedes(c[j].preferred, c[j].name, c[i]) }
func (c candidates) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)        { *c = append(*c, x.(candidate)) }

func (c *candidates) Pop() any {
	last := len(*c) - 1
	popped := (*c)[last]
	*c = (*c)[:last]
	return popped
}

// Prefer implements contract.Preferrer. If services wait, the list is read again for the new preferences.
func (s *Source) Prefer(services []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.preferred = make(map[string]bool, len(services))
	for _, name := range services {
		s.preferred[name] = true
	}
	select {
	case <-s.preferences:
	default:
		close(s.preferences)
	}
	if s.waiting > 0 {
		s.list.Refresh()
	}
}

// waitForPreferences waits for the first Prefer. It reports whether it waited, so that the list is read again: the choice
// among the services needs the preferences.
func (s *Source) waitForPreferences(ctx context.Context) bool {
	select {
	case <-s.preferences:
		return false
	default:
	}
	select {
	case <-s.preferences:
	case <-ctx.Done():
	}
	return true
}

// applyLimit records how many services of the list wait. If some do, the content of the source is not complete: a service
// that was not read is not gone.
func (s *Source) applyLimit(ctx context.Context, l listing, filtered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = l.waiting
	s.showWaiting()
	if l.waiting == 0 {
		return
	}
	if s.sync.reported == syncedComplete {
		read := make(map[string]bool, len(s.services))
		for name := range s.services {
			read[name] = true
		}
		s.sync.reopen(read)
		s.selector.Synced(s.opts.Name, false)
	}
	if !filtered {
		s.confirmGone(ctx, l)
	}
}

// confirmGone reads the preferred services that are not in the list. The engine does not take them for gone, because the
// content of the source is not complete. Source.mu is held.
func (s *Source) confirmGone(ctx context.Context, l listing) {
	for _, name := range slices.SortedFunc(maps.Keys(s.preferred), cmp.Compare[string]) {
		if l.preferred[name] || s.services[name] != nil {
			continue
		}
		if len(s.services) >= s.opts.Limits.Services+maxConfirmations {
			return // the next ones follow once these have left
		}
		delete(s.preferred, name)
		w := newServiceWatch(s, name, false)
		w.reportUnread()
		s.start(ctx, w)
	}
}

// admitLater reads the list again, because there is room for a service that waits. Services that leave together cause one
// read. Source.mu is held.
func (s *Source) admitLater() {
	if s.waiting > 0 && !s.admitting {
		s.admitting = true
		time.AfterFunc(admitPause, s.admit)
	}
}

func (s *Source) admit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admitting = false
	s.list.Refresh()
}

// showWaiting updates the metric. Source.mu is held.
func (s *Source) showWaiting() { s.metrics.waiting.Set(float64(s.waiting)) }
