package guard

import "time"

// flooded says whether more instances are missing than may go, and drained the same of services. What somebody let go
// before it could go may.
func (g *Guard) flooded() bool {
	return above(g.lost-g.pardoned.Instances, g.serving+g.lost, g.options.Instances, g.options.FewInstances)
}

func (g *Guard) drained() bool {
	return above(g.emptied-g.pardoned.Services, g.full+g.emptied, g.options.Services, g.options.FewServices)
}

func above(gone, of int, share float64, few int) bool {
	return gone > few && float64(gone) > share*float64(of)
}

// recount brings the totals up to date with one service.
func (g *Guard) recount(s *service) {
	g.count(s.counted, -1)
	s.counted = tally{lost: len(s.losses), recalled: s.recalled}
	for _, instance := range s.reported.Instances {
		if g.options.Serving(instance) {
			s.counted.serving++
		}
	}
	for _, l := range s.losses {
		if l.kept {
			s.counted.kept++
		}
	}
	g.count(s.counted, 1)
	if g.held && g.synced { // before that, what is kept isn't all that was held
		g.hold.Instances, g.hold.Services = g.kept, g.keptWhole
	}
}

func (g *Guard) count(t tally, by int) {
	g.serving += by * t.serving
	g.lost += by * t.lost
	g.kept += by * t.kept
	if t.recalled {
		g.recalled += by
	}
	if t.full() {
		g.full += by
	}
	if t.emptied() {
		g.emptied += by
	}
	if t.keptWhole() {
		g.keptWhole += by
	}
}

// expire forgets the losses that are older than the window, unless they are kept.
func (g *Guard) expire(now time.Time) {
	if !g.synced {
		return
	}
	n := 0
	for ; n < len(g.recent) && now.Sub(g.recent[n].at) > g.options.Window; n++ {
		m := g.recent[n]
		s := g.services[m.service]
		if s == nil {
			continue
		}
		if l, ok := s.losses[m.id]; ok && !l.kept && l.at.Equal(m.at) {
			delete(s.losses, m.id)
			g.recount(s)
			g.drop(s)
		}
	}
	g.recent = g.recent[n:]
}

// forget drops the losses of a service that are not kept: they have left.
func (g *Guard) forget(s *service) {
	for id, l := range s.losses {
		if !l.kept {
			delete(s.losses, id)
		}
	}
	g.recount(s)
}
