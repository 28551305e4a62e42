package guard

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// compare records the losses and arrivals of a report. A new instance makes up for a loss, before or after it, so a
// rolling update of a whole service has no losses. A withdrawn instance isn't a loss.
func (g *Guard) compare(now time.Time, s *service, report catalog.Service) {
	if s.restored {
		s.adoptIdentities(report)
	}
	s.restored, s.hasReport, s.partial = s.restored && report.Partial, true, report.Partial
	report = report.Apply(s.reported).AsComplete()
	lost, arrived := g.difference(now, s, report)
	g.nowhere = g.nowhere && len(lost) > 0
	s.reported = report
	lost, arrived = g.replace(now, s, lost, arrived)
	if g.synced { // the instances of the initial sync replace nothing
		for range arrived {
			s.arrivals = append(s.arrivals, now)
		}
	}
	s.arrivals = slices.DeleteFunc(s.arrivals, func(at time.Time) bool { return now.Sub(at) > g.options.Window })
	serves := slices.ContainsFunc(report.Instances, g.options.Serving)
	for _, instance := range lost {
		if len(s.arrivals) > 0 && serves { // an arrival that doesn't serve anymore replaces nothing
			s.arrivals = s.arrivals[1:]
			continue
		}
		id := instance.ID.Fold()
		if s.losses == nil {
			s.losses = map[catalog.InstanceID]loss{}
		}
		s.losses[id] = loss{Instance: instance, at: now}
		g.recent = append(g.recent, lossRef{now, s.reported.Name, id})
	}
	g.recount(s)
}

// adoptIdentities sets the ID of restored instances without a node: it is the ID of the reported instance that has the same
// address and port.
func (s *service) adoptIdentities(report catalog.Service) {
	type endpoint struct {
		address string
		port    int
	}
	ids := map[endpoint]catalog.InstanceID{}
	for _, instance := range report.Instances {
		at := endpoint{instance.Address, instance.Port}
		if _, known := ids[at]; !known || instance.LeftOut == 0 {
			ids[at] = instance.ID
		}
	}
	known := slices.Clone(s.reported.Instances)
	for i, instance := range known {
		if id, ok := ids[endpoint{instance.Address, instance.Port}]; ok && instance.ID.Node == "" {
			known[i].ID = id
		}
	}
	s.reported.Instances = known
}

// difference returns the instances that no longer serve, and the instances that newly serve. A lost instance that returned
// is neither.
func (g *Guard) difference(now time.Time, s *service, report catalog.Service) (lost, arrived []catalog.Instance) {
	before := byID(s.reported)
	after := byID(report)
	for id, instance := range after {
		old, known := before[id]
		_, wasLost := s.losses[id]
		switch {
		case wasLost && withdrawn(instance):
			g.drop(s, id)
		case !g.options.Serving(instance):
		case wasLost:
			g.returned(now, s, id)
		case !known || !g.options.Serving(old):
			arrived = append(arrived, instance)
		}
	}
	for id, instance := range before {
		current, listed := after[id]
		if g.options.Serving(instance) && !(listed && withdrawn(current)) && (!listed || !g.options.Serving(current)) {
			lost = append(lost, instance)
		}
	}
	slices.SortFunc(lost, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
	return lost, arrived
}

// withdrawn reports whether a registration or the configuration withdraws an instance on purpose, so that it isn't a loss:
// it is in maintenance, or it is of a kind that the source leaves out.
func withdrawn(i catalog.Instance) bool { return i.Health == catalog.Maintenance || i.LeftOut != 0 }

// replace matches arrivals with losses: first with the earlier ones, oldest first, then with the new ones. It returns the
// rest of both.
func (g *Guard) replace(now time.Time, s *service, lost, arrived []catalog.Instance) (stillLost, unused []catalog.Instance) {
	oldest := slices.SortedFunc(maps.Values(s.losses), func(a, b loss) int {
		return cmp.Or(a.at.Compare(b.at), a.ID.Compare(b.ID))
	})
	n := min(len(oldest), len(arrived))
	for _, l := range oldest[:n] {
		g.returned(now, s, l.ID.Fold())
	}
	arrived = arrived[n:]
	n = min(len(lost), len(arrived))
	return lost[n:], arrived[n:]
}

// byID returns the instances of a service by the ID under which Consul compares them.
func byID(s catalog.Service) map[catalog.InstanceID]catalog.Instance {
	instances := make(map[catalog.InstanceID]catalog.Instance, len(s.Instances))
	for _, instance := range s.Instances {
		instances[instance.ID.Fold()] = instance
	}
	return instances
}

// view returns a service as the mesh sees it: as reported, and with the held instances. A held instance that is reported
// but no longer serves looks as it did when it served, since its new address or port may be the reason.
func (g *Guard) view(s *service) catalog.Service {
	view := s.reported
	view.Generation = s.generation
	if s.counted.held == 0 && (g.synced || s.counted.lost == 0) || g.options.Window == 0 {
		return view
	}
	view.Instances = slices.Clone(s.reported.Instances)
	present := map[catalog.InstanceID]bool{}
	for i, instance := range view.Instances {
		id := instance.ID.Fold()
		if l, ok := s.losses[id]; ok && g.stays(l) {
			present[id] = true
			view.Instances[i] = l.Instance
		}
	}
	for id, l := range s.losses {
		if g.stays(l) && !present[id] {
			view.Instances = append(view.Instances, l.Instance)
			view.Datacenter = cmp.Or(view.Datacenter, l.ID.Datacenter)
		}
	}
	slices.SortFunc(view.Instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
	catalog.MarkEndpoints(view.Instances)
	return view
}

// stays reports whether a lost instance stays in the mesh. Until the source has synced, all of them do.
func (g *Guard) stays(l loss) bool { return l.set != nil || !g.synced }
