package engine

import (
	"cmp"
	"maps"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// admitWaiting translates the services that wait, the smallest first, if objects have left.
func (e *Engine) admitWaiting() {
	b := &e.budget
	if b.freed && len(b.waiting) > 0 {
		for _, key := range slices.SortedFunc(maps.Keys(b.waiting), e.compareWaiting) {
			w := b.waiting[key]
			if w.growing && b.free(key.Source, 100) > 0 || !w.growing && e.admits(key, w.objects) {
				e.retranslate(key, e.now())
			}
		}
	}
	b.freed = false
	e.metrics.objects(b)
}

// compareWaiting orders services that wait: those of the last known good, then the smallest.
func (e *Engine) compareWaiting(a, other catalog.Key) int {
	rank := func(key catalog.Key) int {
		if e.budget.known[e.merger.keyOf(key)] {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a), rank(other)),
		cmp.Compare(e.budget.waiting[a].objects, e.budget.waiting[other].objects), a.Compare(other))
}

// setKnown records the services of the last known good or of the leader.
func (e *Engine) setKnown(services []catalog.Service) {
	e.budget.known = make(map[catalog.Key]bool, len(services))
	for _, service := range services {
		e.budget.known[e.merger.keyOf(service.Key)] = true
	}
}

// rebaseBudget gives the services that the leader has precedence over those that only this replica has. Another order of
// reports may have led to another choice.
func (e *Engine) rebaseBudget(services []catalog.Service) {
	b := &e.budget
	e.setKnown(services)
	for _, key := range slices.SortedFunc(maps.Keys(b.waiting), e.compareWaiting) {
		w := b.waiting[key]
		if w.growing || !b.known[e.merger.keyOf(key)] {
			continue
		}
		for _, other := range e.replaceable(key.Source) {
			if b.fits(key.Source, w.objects, 100) {
				break
			}
			b.evicted[other] = true
			e.retranslate(other, e.now())
			delete(b.evicted, other)
		}
		e.retranslate(key, e.now())
	}
}

// replaceable returns the services that have objects and that the leader does not have, the largest first.
func (e *Engine) replaceable(source string) []catalog.Key {
	var keys []catalog.Key
	objects := map[catalog.Key]int{}
	for key, service := range e.services {
		if key.Source != source && e.budget.ObjectsPerSource > 0 || e.budget.known[e.merger.keyOf(key)] {
			continue
		}
		if objects[key] = e.ownObjects(service.name, key); objects[key] > 0 {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b catalog.Key) int { return cmp.Or(cmp.Compare(objects[b], objects[a]), a.Compare(b)) })
	return keys
}
