package guard

import (
	"fmt"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Hold is a disappearance that is not believed.
type Hold struct {
	// Since is when it began, by the clock of who began it. It is there to be told: nothing is decided by it.
	Since time.Time `json:"since"`
	// Reason says what disappeared at once, of how many.
	Reason string `json:"reason"`
	// All says that everything that goes is kept. Else that is so only for services that lost all their instances: they
	// have nothing to lose by it, while the others do better without instances that may be dead.
	All bool `json:"all"`
	// Released says that somebody let it go before the registry was read: it goes as soon as that is done.
	Released bool `json:"released,omitempty"`
	// Services and Instances count what is kept now: instances that the registry doesn't report as serving, and
	// services that have no others.
	Services  int `json:"services"`
	Instances int `json:"instances"`
}

// Hold returns the hold in force; false where there is none.
func (g *Guard) Hold() (Hold, bool) { return g.hold, g.held }

// Release lets everything go that is held: somebody says that it is meant. Before the source has reported its whole
// content nothing may go, and what is missing isn't known: then as much goes as was held, once that is done.
func (g *Guard) Release() []catalog.Service {
	if !g.synced {
		g.hold.Released = g.held
		return nil
	}
	g.end()
	g.recent = nil
	var changed []catalog.Service
	for _, s := range g.losers() {
		kept := s.counted.kept > 0
		clear(s.losses)
		g.recount(s)
		if kept {
			changed = append(changed, s.reported)
		}
		g.drop(s)
	}
	return changed
}

// over says that a hold keeps nothing, and won't. One of before our start may have kept what is not known yet.
func (g *Guard) over() bool { return g.kept == 0 && !g.unsure() }

func (g *Guard) unsure() bool { return g.inherited && g.recalled > 0 }

func (g *Guard) end() { g.held, g.inherited, g.hold = false, false, Hold{} }

// judge begins or widens a hold where too much went, and returns the services that get something back by it: also what
// went earlier within the window.
func (g *Guard) judge(now time.Time, when string) []catalog.Service {
	all, some := g.flooded(), g.drained()
	if g.options.Window == 0 || !all && !some || g.held && (g.hold.All || !all) {
		return nil
	}
	hold := Hold{Since: now, Reason: g.reason(when), All: all}
	if g.held {
		hold.Since = g.hold.Since
	} else {
		g.began = now
	}
	g.held, g.hold = true, hold
	var changed []catalog.Service
	for _, s := range g.losers() {
		if g.keepIfHeld(s) {
			changed = append(changed, g.view(s))
		}
	}
	return changed
}

// keepIfHeld keeps what a service lost, as far as the hold says so. It returns whether that is anything more.
func (g *Guard) keepIfHeld(s *service) bool {
	if !g.held || !g.hold.All && !s.counted.emptied() || s.counted.kept == s.counted.lost {
		return false
	}
	for id, l := range s.losses {
		l.kept = true
		s.losses[id] = l
	}
	g.recount(s)
	return true
}

// Tick lets go what is due. It returns when to call it next, the zero time where a report comes first.
func (g *Guard) Tick(now time.Time) (released []catalog.Service, next time.Time) {
	if !g.held || !g.synced {
		return nil, time.Time{}
	}
	if g.over() || g.expired(now) || g.subsided(now) {
		return g.Release(), time.Time{}
	}
	next = g.began.Add(g.options.ReleaseAfter)
	if calm := g.calm(); g.options.ReleaseAfter == 0 || (!g.flooded() && !g.drained() && calm.Before(next)) {
		next = calm
	}
	if !next.After(now) {
		return nil, time.Time{} // too much is missing: only a report, or somebody, can end it
	}
	return nil, next
}

func (g *Guard) expired(now time.Time) bool {
	return g.options.ReleaseAfter > 0 && now.Sub(g.began) >= g.options.ReleaseAfter
}

// subsided says that the registry has brought so much back that the rest may be believed, and that nothing more came
// for a whole window: while it is coming back, what is missing is only late.
func (g *Guard) subsided(now time.Time) bool {
	return !g.flooded() && !g.drained() && !g.unsure() && !now.Before(g.calm())
}

// calm is when a window without a return is over.
func (g *Guard) calm() time.Time {
	last := g.returned
	if g.began.After(last) {
		last = g.began
	}
	return last.Add(g.options.Window)
}

func (g *Guard) reason(when string) string {
	return fmt.Sprintf("%d of %d instances went %s, %d of %d services with all of theirs",
		g.lost, g.serving+g.lost, when, g.emptied, g.full+g.emptied)
}

func (g *Guard) losers() []*service {
	return slices.DeleteFunc(g.sorted(), func(s *service) bool { return len(s.losses) == 0 })
}

func (g *Guard) sorted() []*service {
	all := make([]*service, 0, len(g.services))
	for _, s := range g.services {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *service) int { return a.reported.Key.Compare(b.reported.Key) })
	return all
}
