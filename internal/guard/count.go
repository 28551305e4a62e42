package guard

import "time"

// exceeds says whether more is missing than may go.
func (g *Guard) exceeds() bool {
	return g.options.Window > 0 &&
		(above(g.lost, g.serving+g.lost, g.options.Instances, g.options.FewInstances) ||
			above(g.emptied, g.full+g.emptied, g.options.Services, g.options.FewServices))
}

func above(gone, of int, share float64, few int) bool {
	return gone > few && float64(gone) > share*float64(of)
}

// recount brings the totals up to date with one service.
func (g *Guard) recount(s *service) {
	g.serving -= s.serving
	g.count(&g.full, s.full, -1)
	g.count(&g.emptied, s.emptied, -1)
	s.serving = 0
	for _, instance := range s.reported.Instances {
		if g.options.Serving(instance) {
			s.serving++
		}
	}
	s.full, s.emptied = s.serving > 0, s.serving == 0 && len(s.losses) > 0
	g.serving += s.serving
	g.count(&g.full, s.full, 1)
	g.count(&g.emptied, s.emptied, 1)
	g.lost += len(s.losses) - s.counted
	s.counted = len(s.losses)
}

func (g *Guard) count(total *int, counts bool, by int) {
	if counts {
		*total += by
	}
}

// expire forgets the losses that are older than the window, unless they are kept.
func (g *Guard) expire(now time.Time) {
	if g.keeping() {
		return
	}
	n := 0
	for ; n < len(g.recent) && now.Sub(g.recent[n].at) > g.options.Window; n++ {
		m := g.recent[n]
		s := g.services[m.service]
		if s == nil {
			continue
		}
		if l, ok := s.losses[m.id]; ok && l.at.Equal(m.at) {
			delete(s.losses, m.id)
			g.recount(s)
			g.drop(s)
		}
	}
	g.recent = g.recent[n:]
}
