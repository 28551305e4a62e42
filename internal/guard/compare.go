package guard

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// compare notes what a report takes away and brings. An instance that another one takes the place of, before or after
// it goes, isn't lost: a rolling change of a whole service loses nothing. Maintenance is an operator's own word and
// no loss either.
func (g *Guard) compare(now time.Time, s *service, report catalog.Service) {
	if s.recalled {
		s.identify(report)
	}
	s.recalled, s.heard, s.partial = s.recalled && report.Partial, true, report.Partial
	report = report.Apply(s.reported).AsComplete()
	lost, gained := g.difference(now, s, report)
	s.reported = report
	lost, gained = g.replace(now, s, lost, gained)
	for range gained {
		if g.synced { // what comes with a start takes nothing's place
			s.gained = append(s.gained, now)
		}
	}
	s.gained = slices.DeleteFunc(s.gained, func(at time.Time) bool { return now.Sub(at) > g.options.Window })
	drained := !slices.ContainsFunc(report.Instances, g.options.Serving)
	for _, instance := range lost {
		if len(s.gained) > 0 && !drained { // where nothing serves any more, nothing took a place
			s.gained = s.gained[1:]
			continue
		}
		id := instance.ID.Fold()
		if s.losses == nil {
			s.losses = map[catalog.InstanceID]loss{}
		}
		s.losses[id] = loss{Instance: instance, at: now}
		g.recent = append(g.recent, mark{now, s.reported.Name, id})
	}
	g.recount(s)
}

// identify gives recalled instances that have no node, and so no identity, the one of the instance that is reported
// where they listen.
func (s *service) identify(report catalog.Service) {
	type place struct {
		address string
		port    int
	}
	places := map[place]catalog.InstanceID{}
	for _, instance := range report.Instances {
		places[place{instance.Address, instance.Port}] = instance.ID
	}
	known := slices.Clone(s.reported.Instances)
	for i, instance := range known {
		if id, ok := places[place{instance.Address, instance.Port}]; ok && instance.ID.Node == "" {
			known[i].ID = id
		}
	}
	s.reported.Instances = known
}

// difference returns the instances that serve no more, and those that do anew. Those that were lost and are back are
// neither.
func (g *Guard) difference(now time.Time, s *service, report catalog.Service) (lost, gained []catalog.Instance) {
	before := byID(s.reported)
	after := byID(report)
	for id, instance := range after {
		old, known := before[id]
		_, missed := s.losses[id]
		switch {
		case instance.Health == catalog.Maintenance:
			delete(s.losses, id)
		case !g.options.Serving(instance):
		case missed:
			delete(s.losses, id)
			g.returned = now
		case !known || !g.options.Serving(old):
			gained = append(gained, instance)
		}
	}
	for id, instance := range before {
		current, listed := after[id]
		meant := listed && current.Health == catalog.Maintenance
		if g.options.Serving(instance) && !meant && (!listed || !g.options.Serving(current)) {
			lost = append(lost, instance)
		}
	}
	slices.SortFunc(lost, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
	return lost, gained
}

// replace has instances that came take the places of those that went: of earlier losses, then of those of now.
func (g *Guard) replace(now time.Time, s *service, lost, gained []catalog.Instance) (stillLost, unused []catalog.Instance) {
	oldest := slices.SortedFunc(maps.Values(s.losses), func(a, b loss) int {
		return cmp.Or(a.at.Compare(b.at), a.ID.Compare(b.ID))
	})
	n := min(len(oldest), len(gained))
	for _, l := range oldest[:n] {
		delete(s.losses, l.ID.Fold())
		g.returned = now
	}
	gained = gained[n:]
	n = min(len(lost), len(gained))
	return lost[n:], gained[n:]
}

func byID(s catalog.Service) map[catalog.InstanceID]catalog.Instance {
	instances := make(map[catalog.InstanceID]catalog.Instance, len(s.Instances))
	for _, instance := range s.Instances {
		instances[instance.ID.Fold()] = instance
	}
	return instances
}

// view is the service as the mesh shall see it: as reported, and with what went and is kept. What is reported but serves
// no more is as it was when it did: its address or its port may be what makes it useless.
func (g *Guard) view(s *service) catalog.Service {
	if s.counted.kept == 0 && (g.synced || s.counted.lost == 0) || g.options.Window == 0 {
		return s.reported
	}
	view := s.reported
	view.Instances = slices.Clone(s.reported.Instances)
	present := map[catalog.InstanceID]bool{}
	for i, instance := range view.Instances {
		id := instance.ID.Fold()
		if l, ok := s.losses[id]; ok && g.keeps(l) {
			present[id] = true
			view.Instances[i] = l.Instance
		}
	}
	for id, l := range s.losses {
		if g.keeps(l) && !present[id] {
			view.Instances = append(view.Instances, l.Instance)
			view.Datacenter = cmp.Or(view.Datacenter, l.ID.Datacenter)
		}
	}
	slices.SortFunc(view.Instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
	catalog.MarkSuperseded(view.Instances)
	return view
}

// keeps tells whether the mesh keeps what went. Before a source is complete it keeps all.
func (g *Guard) keeps(l loss) bool { return l.kept || !g.synced }
