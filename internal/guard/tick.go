package guard

import (
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Tick applies held removals that are due. It returns the time of the next call, or the zero time if only a report or a
// release can end the hold.
func (g *Guard) Tick(now time.Time) (released []catalog.Service, next time.Time) {
	if !g.held() || !g.synced {
		return nil, time.Time{}
	}
	g.expireLosses(now)
	for _, t := range slices.Clone(g.sets) {
		expired := g.options.ReleaseAfter > 0 && now.Sub(t.began) >= g.options.ReleaseAfter
		t.inherited = t.inherited && !expired
		if !g.mayHoldMore(t) {
			applied, again := g.applyDue(now, t)
			released = append(released, applied...)
			next = earlier(next, again)
		} else if g.options.ReleaseAfter > 0 {
			next = earlier(next, t.began.Add(g.options.ReleaseAfter))
		}
	}
	g.endSets()
	return released, next
}

// applyDue applies the removals of a set that are due. It returns the time at which more are, or the zero time.
func (g *Guard) applyDue(now time.Time, t *set) (released []catalog.Service, next time.Time) {
	due, some := [generations]bool{}, false
	for generation := range generations {
		if t.remaining[generation].held == 0 {
			continue
		}
		at := t.dueAt(g.options, generation)
		if due[generation] = !at.IsZero() && !now.Before(at); due[generation] {
			some = true
		} else {
			next = earlier(next, at)
		}
	}
	if some {
		released = g.apply(t, due)
	}
	return released, next
}

// earlier returns the earlier of two times. The zero time means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// apply applies the removals of a set in the generations that are due.
func (g *Guard) apply(t *set, due [generations]bool) (changed []catalog.Service) {
	for _, s := range g.servicesWithLosses() {
		if !t.members[s.reported.Name] || !due[s.generation] {
			continue
		}
		before := s.counted.held
		for id, l := range s.losses {
			if l.set == t {
				g.drop(s, id)
			}
		}
		if g.recount(s); s.counted.held < before {
			changed = append(changed, g.view(s))
		}
		g.dropIfGone(s)
	}
	return changed
}
