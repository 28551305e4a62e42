package guard

import (
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// loss is a lost instance as it was when it last served.
type loss struct {
	catalog.Instance
	// at is the time of the loss.
	at time.Time
	// set is the mass removal that the loss belongs to: the instance stays in the mesh. It is nil if the removal applies.
	set *set
}

// lossRef refers to a loss.
type lossRef struct {
	at      time.Time
	service string
	id      catalog.InstanceID
}

// drop forgets a loss: the instance has returned, was replaced, or its removal applies.
func (g *Guard) drop(s *service, id catalog.InstanceID) {
	g.move(s, id, nil)
	delete(s.losses, id)
}

// move moves a loss to a set, or out of its set if the new one is nil.
func (g *Guard) move(s *service, id catalog.InstanceID, to *set) {
	l := s.losses[id]
	if from := l.set; from != nil {
		if from.nodes[l.ID.Node]--; from.nodes[l.ID.Node] == 0 {
			delete(from.nodes, l.ID.Node)
		}
	}
	if l.set = to; to != nil {
		to.nodes[l.ID.Node]++
		to.members[s.reported.Name] = true
	}
	s.losses[id] = l
}

// returned drops a loss whose instance the registry reports again, or that a new instance makes up for.
func (g *Guard) returned(now time.Time, s *service, id catalog.InstanceID) {
	if t := s.losses[id].set; t != nil {
		t.changed[s.generation] = now
	}
	g.drop(s, id)
}

// close closes the open set. Its losses no longer count for later removals.
func (g *Guard) close() {
	members := g.open.members
	g.open = nil
	for name := range members {
		if s := g.services[name]; s != nil {
			g.recount(s)
		}
	}
}

// expireLosses forgets the losses that are older than the window and not held, and closes the open set after one window:
// later losses don't belong to it.
func (g *Guard) expireLosses(now time.Time) {
	if !g.synced {
		return
	}
	if t := g.open; t != nil && now.Sub(t.began) > g.options.Window && !g.mayHoldMore(t) {
		g.close()
	}
	n := 0
	for ; n < len(g.recent) && now.Sub(g.recent[n].at) > g.options.Window; n++ {
		ref := g.recent[n]
		s := g.services[ref.service]
		if s == nil {
			continue
		}
		if l, ok := s.losses[ref.id]; ok && l.set == nil && l.at.Equal(ref.at) {
			g.drop(s, ref.id)
			g.recount(s)
			g.dropIfGone(s)
		}
	}
	g.recent = g.recent[n:]
}

// dropUnheld forgets the losses of a service that aren't held: the removals are applied.
func (g *Guard) dropUnheld(s *service) {
	for id, l := range s.losses {
		if l.set == nil {
			g.drop(s, id)
		}
	}
	g.recount(s)
}
