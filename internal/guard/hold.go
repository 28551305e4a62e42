package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Hold is a disappearance that is not believed.
type Hold struct {
	// Since is when it began.
	Since time.Time `json:"since"`
	// Reason says what disappeared at once, of how many.
	Reason string `json:"reason"`
	// Services and Instances count what is held now: instances that the registry doesn't report as serving, and
	// services that have no others.
	Services  int `json:"services"`
	Instances int `json:"instances"`
}

// Hold returns the hold in force; false where there is none.
func (g *Guard) Hold() (Hold, bool) { return g.hold, g.held }

// Release lets everything go that is held: somebody says that it is meant.
func (g *Guard) Release() []catalog.Service {
	if !g.held {
		return nil
	}
	g.held, g.hold = false, Hold{}
	if !g.synced {
		return nil // what is missing is not known yet
	}
	return g.let()
}

// Tick lets go what is due. It returns when to call it next, the zero time where a report comes first.
func (g *Guard) Tick(now time.Time) (released []catalog.Service, next time.Time) {
	if !g.held || !g.synced {
		return nil, time.Time{}
	}
	if g.lost == 0 || g.expired(now) || g.subsided(now) {
		return g.Release(), time.Time{}
	}
	next = g.hold.Since.Add(g.options.ReleaseAfter)
	if calm := g.calm(); g.options.ReleaseAfter == 0 || (!g.exceeds() && calm.Before(next)) {
		next = calm
	}
	if !next.After(now) {
		return nil, time.Time{} // too much is missing: only a report, or somebody, can end it
	}
	return nil, next
}

func (g *Guard) expired(now time.Time) bool {
	return g.options.ReleaseAfter > 0 && now.Sub(g.hold.Since) >= g.options.ReleaseAfter
}

// subsided says that the registry has brought so much back that the rest may be believed, and that nothing more came
// for a whole window: while it is coming back, what is missing is only late.
func (g *Guard) subsided(now time.Time) bool { return !g.exceeds() && !now.Before(g.calm()) }

// calm is when a window without a return is over.
func (g *Guard) calm() time.Time {
	last := g.returned
	if g.hold.Since.After(last) {
		last = g.hold.Since
	}
	return last.Add(g.options.Window)
}

// trip begins a hold: also what went earlier within the window comes back.
func (g *Guard) trip(now time.Time, when string) []catalog.Service {
	g.held = true
	g.hold = Hold{Since: now, Reason: g.reason(when)}
	g.remeasure()
	return g.affected()
}

func (g *Guard) remeasure() { g.hold.Services, g.hold.Instances = g.emptied, g.lost }

func (g *Guard) reason(when string) string {
	return fmt.Sprintf("%d of %d instances went %s, %d of %d services with all of theirs",
		g.lost, g.serving+g.lost, when, g.emptied, g.full+g.emptied)
}

// short leaves out the zeros that Go ends a duration with.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// let has what went go for good, and returns the services that lost by it.
func (g *Guard) let() []catalog.Service {
	services := g.losers()
	g.recent = nil
	out := make([]catalog.Service, 0, len(services))
	for _, s := range services {
		clear(s.losses)
		g.recount(s)
		out = append(out, s.reported)
		g.drop(s)
	}
	return out
}

// affected returns the services that lost something, as they shall be.
func (g *Guard) affected() []catalog.Service {
	var out []catalog.Service
	for _, s := range g.losers() {
		out = append(out, g.view(s))
	}
	return out
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
