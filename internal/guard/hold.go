package guard

import (
	"fmt"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Hold describes removals that are held.
type Hold struct {
	// Since is the time at which the hold began, by the clock of the replica that began it. It is informational only.
	Since time.Time `json:"since"`
	// Reason describes the removal that caused the hold.
	Reason string `json:"reason"`
	// All reports whether all lost instances are held. If false, only those of services that lost all instances are held:
	// such a service has nothing to lose, while another one works better without instances that may be dead.
	All bool `json:"all"`
	// Released reports whether an operator released the hold before the source has synced. The removals apply after the
	// sync.
	Released bool `json:"released,omitempty"`
	// Services is the number of services whose instances are all held.
	Services int `json:"services"`
	// Instances is the number of held instances.
	Instances int `json:"instances"`
}

// Hold returns the active hold, or false if there is none.
func (g *Guard) Hold() (Hold, bool) { return g.hold, g.held }

// Release applies the held removals. Before the source has synced, it only records the release: after the sync, removals
// up to the size of the hold apply.
func (g *Guard) Release() []catalog.Service {
	if !g.synced {
		g.hold.Released = g.held
		return nil
	}
	g.endHold()
	g.recent = nil
	var changed []catalog.Service
	for _, s := range g.servicesWithLosses() {
		held := s.counted.held > 0
		clear(s.losses)
		g.recount(s)
		if held {
			changed = append(changed, s.reported)
		}
		g.dropIfGone(s)
	}
	return changed
}

// nothingHeld reports whether the hold affects no instance, now and later.
func (g *Guard) nothingHeld() bool { return g.totals.held == 0 && !g.mayHoldMore() }

// mayHoldMore reports whether an inherited hold may affect instances that aren't known to be missing yet.
func (g *Guard) mayHoldMore() bool { return g.inherited && g.totals.restored > 0 }

func (g *Guard) endHold() { g.held, g.inherited, g.hold = false, false, Hold{} }

// updateHold begins or widens a hold if a limit is exceeded. It returns the services that get instances back, including
// those lost earlier in the window.
func (g *Guard) updateHold(now time.Time, when string) []catalog.Service {
	instances, services := g.instanceLimitExceeded(), g.serviceLimitExceeded()
	if g.options.Window == 0 || !instances && !services || g.held && (g.hold.All || !instances) {
		return nil
	}
	hold := Hold{Since: now, Reason: g.totals.reason(when), All: instances}
	if g.held {
		hold.Since = g.hold.Since
	} else {
		g.began = now
	}
	g.held, g.hold = true, hold
	var changed []catalog.Service
	for _, s := range g.servicesWithLosses() {
		if g.holdLosses(s) {
			changed = append(changed, g.view(s))
		}
	}
	return changed
}

// holdLosses holds the losses of a service if the active hold applies to it. It reports whether that holds more instances
// than before.
func (g *Guard) holdLosses(s *service) bool {
	if !g.held || !g.hold.All && !s.counted.lostAll() || s.counted.held == s.counted.lost {
		return false
	}
	for id, l := range s.losses {
		l.held = true
		s.losses[id] = l
	}
	g.recount(s)
	return true
}

// Tick ends a hold that is due. It returns the time of the next call, or the zero time if only a report or a release can
// end the hold.
func (g *Guard) Tick(now time.Time) (released []catalog.Service, next time.Time) {
	if !g.held || !g.synced {
		return nil, time.Time{}
	}
	if g.nothingHeld() || g.expired(now) || g.recovered(now) {
		return g.Release(), time.Time{}
	}
	next = g.began.Add(g.options.ReleaseAfter)
	if quiet := g.quietUntil(); g.options.ReleaseAfter == 0 || !g.limitExceeded() && quiet.Before(next) {
		next = quiet
	}
	if !next.After(now) {
		return nil, time.Time{} // a limit is still exceeded
	}
	return nil, next
}

// expired reports whether Options.ReleaseAfter has passed.
func (g *Guard) expired(now time.Time) bool {
	return g.options.ReleaseAfter > 0 && now.Sub(g.began) >= g.options.ReleaseAfter
}

// recovered reports whether the remaining losses are below the limits and no lost instance has returned for one window.
// While instances return, the missing ones may only be late.
func (g *Guard) recovered(now time.Time) bool {
	return !g.limitExceeded() && !g.mayHoldMore() && !now.Before(g.quietUntil())
}

// quietUntil returns the end of one window without a returning instance.
func (g *Guard) quietUntil() time.Time {
	last := g.lastReturn
	if g.began.After(last) {
		last = g.began
	}
	return last.Add(g.options.Window)
}

// reason describes the losses.
func (t totals) reason(when string) string {
	return fmt.Sprintf("%d of %d instances removed %s, %d of %d services with all instances",
		t.lost, t.serving+t.lost, when, t.servicesLost, t.servicesServing+t.servicesLost)
}

func (g *Guard) servicesWithLosses() []*service {
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
