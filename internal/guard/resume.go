package guard

import (
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Rebase goes on from what the mesh holds by now, and from the hold that is in force there: another isthmus wrote it.
// What is missing of that is judged as after a start. What went of late without being held counts as before, and comes
// back with a flood.
func (g *Guard) Rebase(now time.Time, standing []catalog.Service, hold Hold) []catalog.Service {
	g.expire(now)
	before := *g
	*g = *New(before.options)
	g.Restore(standing, hold)
	changed := map[string]bool{}
	for _, s := range before.sorted() {
		if s.heard {
			g.Report(now, s.last())
			changed[s.reported.Name] = !before.synced || s.counted.kept > 0
		}
		if before.synced {
			g.inherit(now, s)
		}
	}
	if !before.synced {
		return g.views(before, changed)
	}
	for _, s := range g.Synced(now, before.whole) {
		changed[s.Name] = true
	}
	if g.held && before.held {
		g.began = before.began
	}
	for _, s := range before.sorted() {
		g.inherit(now, s)
	}
	slices.SortFunc(g.recent, func(a, b mark) int { return a.at.Compare(b.at) })
	return g.views(before, changed)
}

// inherit takes over what an earlier guard knows of a service's losses of the window, and of what came. What it held, and
// the other one let go, counts as any other.
func (g *Guard) inherit(now time.Time, before *service) {
	serving := byID(before.reported)
	var s *service
	for id, l := range before.losses {
		if current, ok := serving[id]; now.Sub(l.at) > g.options.Window || ok && g.options.Serving(current) {
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
		g.recent = append(g.recent, mark{l.at, before.reported.Name, id})
	}
	if known := g.services[before.reported.Name]; known != nil {
		known.gained = before.gained
		g.recount(known)
	}
}

// views returns the services that changed, as the mesh shall see them.
func (g *Guard) views(before Guard, changed map[string]bool) []catalog.Service {
	var views []catalog.Service
	for _, s := range g.sorted() {
		if changed[s.reported.Name] {
			views = append(views, g.view(s))
		}
	}
	for name, s := range before.services {
		if changed[name] && g.services[name] == nil { // gone, and kept no more
			views = append(views, s.reported)
		}
	}
	return views
}

// last is what the registry reported last.
func (s *service) last() catalog.Service {
	report := s.reported
	report.Partial = s.partial
	return report
}

// Reported returns what the registry reported last of each service that is known, without what is kept; and whether that
// is what it can, and all of it.
func (g *Guard) Reported() (services []catalog.Service, synced, whole bool) {
	for _, s := range g.sorted() {
		if s.heard {
			services = append(services, s.last())
		}
	}
	return services, g.synced, g.whole
}
