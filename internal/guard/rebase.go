package guard

import (
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Rebase continues from the services and the hold of the mesh, which another replica wrote. The guard decides on missing
// instances as after a restart. Recent losses that weren't held still count, and a mass removal restores them.
func (g *Guard) Rebase(now time.Time, live []catalog.Service, hold Hold) []catalog.Service {
	g.expireLosses(now)
	before := *g
	*g = *New(before.options)
	g.Restore(live, hold)
	changed := map[string]bool{}
	for _, s := range before.sorted() {
		if s.hasReport {
			g.Report(now, s.report())
			changed[s.reported.Name] = !before.synced || s.counted.held > 0
		}
		if before.synced {
			g.carryOver(now, s)
		}
	}
	if !before.synced {
		return g.views(before, changed)
	}
	for _, s := range g.Synced(now, before.complete) {
		changed[s.Name] = true
	}
	if g.held && before.held {
		g.began = before.began
	}
	for _, s := range before.sorted() {
		g.carryOver(now, s)
	}
	slices.SortFunc(g.recent, func(a, b lossRef) int { return a.at.Compare(b.at) })
	return g.views(before, changed)
}

// carryOver copies the losses and arrivals of the window from the earlier state of a service. An instance that was held
// here and released by the other replica counts as lost.
func (g *Guard) carryOver(now time.Time, before *service) {
	reported := byID(before.reported)
	var s *service
	for id, l := range before.losses {
		if current, ok := reported[id]; now.Sub(l.at) > g.options.Window || ok && g.options.Serving(current) {
			continue
		}
		if s == nil {
			s = g.service(before.reported.Key)
		}
		if _, known := s.losses[id]; known {
			continue
		}
		if s.losses == nil {
			s.losses = map[catalog.InstanceID]loss{}
		}
		s.losses[id] = loss{Instance: l.Instance, at: l.at}
		g.recent = append(g.recent, lossRef{l.at, before.reported.Name, id})
	}
	if known := g.services[before.reported.Name]; known != nil {
		known.arrivals = before.arrivals
		g.recount(known)
	}
}

// views returns the changed services as the mesh sees them.
func (g *Guard) views(before Guard, changed map[string]bool) []catalog.Service {
	var views []catalog.Service
	for _, s := range g.sorted() {
		if changed[s.reported.Name] {
			views = append(views, g.view(s))
		}
	}
	for name, s := range before.services {
		if changed[name] && g.services[name] == nil { // gone, and no longer held
			views = append(views, s.reported)
		}
	}
	return views
}
