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
	g.begun, g.detected = before.begun, before.detected
	g.Restore(live, hold)
	changed := map[string]bool{}
	for _, s := range before.sorted() {
		if s.hasReport {
			g.Report(now, s.report())
			changed[s.reported.Name] = !before.synced || s.counted.held > 0 || g.services[s.reported.Name] == nil ||
				g.services[s.reported.Name].generation != s.generation
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
	g.adoptSets(&before)
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
			if s = g.service(before.reported.Key); !s.ranked {
				g.rank(s, before.generation)
			}
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

// adoptSets gives the losses that this replica held before the sets that they had. The other losses stay in the set that the
// comparison with the mesh began.
func (g *Guard) adoptSets(before *Guard) {
	if !g.held() {
		return
	}
	adopted := map[*set]*set{}
	for _, t := range before.sets {
		next := *t
		g.begun++
		next.number, next.inherited, next.remaining = g.begun, false, census{}
		next.nodes, next.members = map[string]int{}, map[string]bool{}
		adopted[t] = &next
		g.sets = append(g.sets, &next)
		if g.open != nil && t.began.Before(g.open.began) {
			g.open.began = t.began
		}
	}
	for name, s := range before.services {
		current := g.services[name]
		if current == nil {
			continue
		}
		for id, l := range s.losses {
			if now, ok := current.losses[id]; ok && now.set != nil && l.set != nil {
				g.move(current, id, adopted[l.set])
			}
		}
		g.recount(current)
	}
	g.endSets()
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
