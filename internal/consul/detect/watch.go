package detect

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/consul/blocking"
)

const (
	// changeWatches is the number of health watches and of the watch of the list of nodes.
	changeWatches = 3
	// turnWait is the wait of a watch if there are fewer connections than watches, so that they take turns.
	turnWait = time.Second
)

// changeWatch compares consecutive responses of a query and marks the services that the difference is about. It reports
// nothing itself.
type changeWatch[K, V comparable] struct {
	last map[K]V
	// services returns the services that a changed entry is about. The before of a new entry
	// equals its after; the after of a removed entry is zero.
	services func(key K, before, after V) []string
	// pause returns the pause after a response with so many entries.
	pause func(entries int) time.Duration
	// onResponse is called with each response; nil for no call.
	onResponse func(now map[K]V)
	// noPauseIfUnchanged sends the next poll at once after a response without a difference. The index of such a query also
	// moves with changes outside its content; a poll with an older index returns at once.
	noPauseIfUnchanged bool
}

// handle compares a response with the one before. Changes before the first response are left to a scan.
func (w *changeWatch[K, V]) handle(d *Detector, name string, now map[K]V) blocking.Action {
	changed := w.last != nil && !maps.Equal(w.last, now)
	if w.last == nil {
		d.scanner.demand()
	}
	if changed {
		d.MarkChanged(w.compare(now))
	}
	w.last = now
	if w.onResponse != nil {
		w.onResponse(now)
	}
	if w.noPauseIfUnchanged && !changed {
		return blocking.Action{Accept: true}
	}
	pause := w.pause(len(now))
	d.scanner.setWatchPause(name, pause)
	return blocking.Action{Accept: true, Pause: blocking.Jitter(pause)}
}

// compare returns the services of the entries that differ from the last response, each once: a service that is marked twice
// can be read twice.
func (w *changeWatch[K, V]) compare(now map[K]V) []string {
	var names []string
	for key, before := range w.last {
		if after, ok := now[key]; !ok || after != before {
			names = append(names, w.services(key, before, after)...)
		}
	}
	for key, after := range now {
		if _, ok := w.last[key]; !ok {
			names = append(names, w.services(key, after, after)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// watch runs a changeWatch until ctx ends. The caller holds Detector.mu.
func watch[T any, K, V comparable](ctx context.Context, d *Detector, endpoint, name string,
	ask func(*api.QueryOptions) (T, *api.QueryMeta, error), entries func(T) map[K]V, w *changeWatch[K, V],
) {
	id := queryID(name)
	q := blocking.New(blocking.Spec[T]{
		Config:   d.Query,
		Endpoint: endpoint,
		ID:       id,
		Reads:    d.Polls, // in a slot of its own, independent of the reads of services
		Polls:    d.Polls,
		Wait:     d.watchWait,
		Ask: func(ctx context.Context, q *api.QueryOptions) (T, *api.QueryMeta, error) {
			return ask(q.WithContext(ctx))
		},
		Handle: func(_ context.Context, r blocking.Response[T]) blocking.Action {
			return w.handle(d, name, entries(r.Body))
		},
		Changed: func(body T) bool { return !maps.Equal(entries(body), w.last) },
		Entries: func(T) int { return len(w.last) },
	})
	d.watches[id] = q
	d.Go(func() {
		q.Run(ctx)
		d.watchEnded(id, name, q)
	})
}

// queryID returns the ID of a watch for failure.Tracker. No valid service name begins with a slash.
func queryID(name string) string { return "/" + name }

// watchEnded forgets a watch, unless another watch has taken its place.
func (d *Detector) watchEnded(id, name string, q Query) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watches[id] == q {
		delete(d.watches, id)
		d.Query.Failures.Clear(id)
		d.scanner.removeWatchPause(name)
	}
}

// watchWait returns the wait of a watch's poll. It is short if the watches take turns.
func (d *Detector) watchWait() time.Duration {
	if d.Polls.Size() < changeWatches {
		return blocking.Jitter(turnWait)
	}
	return blocking.Jitter(min(d.Wait, d.WatchWait))
}
