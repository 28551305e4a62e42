package guard

import "time"

// tally counts the instances of one service.
type tally struct {
	// serving is the number of reported instances that serve.
	serving int
	// lost is the number of lost instances.
	lost int
	// held is the number of lost instances that are held.
	held int
	// restored reports whether the service is known from an earlier run only, at least in part.
	restored bool
}

// lostAll reports whether the service lost all of its instances.
func (t tally) lostAll() bool { return t.serving == 0 && t.lost > 0 }

// totals are the sums over the services of a source.
type totals struct {
	// serving is the number of instances that serve.
	serving int
	// lost is the number of lost instances.
	lost int
	// held is the number of lost instances that are held.
	held int
	// restored is the number of services that are known from an earlier run only, at least in part.
	restored int
	// servicesServing is the number of services with a serving instance.
	servicesServing int
	// servicesLost is the number of services that lost all of their instances.
	servicesLost int
	// servicesHeld is the number of services that lost all of their instances, some of which are held.
	servicesHeld int
}

// add adds a tally to the totals, or subtracts it if sign is -1.
func (t *totals) add(s tally, sign int) {
	count := func(condition bool) int {
		if condition {
			return sign
		}
		return 0
	}
	t.serving += sign * s.serving
	t.lost += sign * s.lost
	t.held += sign * s.held
	t.restored += count(s.restored)
	t.servicesServing += count(s.serving > 0)
	t.servicesLost += count(s.lostAll())
	t.servicesHeld += count(s.serving == 0 && s.held > 0)
}

// instanceLimitExceeded reports whether more instances are lost than Options allow. Acknowledged losses don't count.
func (g *Guard) instanceLimitExceeded() bool {
	t := g.totals
	return exceeds(t.lost-g.acknowledged.Instances, t.serving+t.lost, g.options.Instances, g.options.FewInstances)
}

// serviceLimitExceeded reports whether more services lost all instances than Options allow. Acknowledged losses don't count.
func (g *Guard) serviceLimitExceeded() bool {
	t := g.totals
	return exceeds(t.servicesLost-g.acknowledged.Services, t.servicesServing+t.servicesLost, g.options.Services, g.options.FewServices)
}

func (g *Guard) limitExceeded() bool { return g.instanceLimitExceeded() || g.serviceLimitExceeded() }

func exceeds(lost, all int, share float64, few int) bool {
	return lost > few && float64(lost) > share*float64(all)
}

// recount updates the totals after a change of one service.
func (g *Guard) recount(s *service) {
	g.totals.add(s.counted, -1)
	s.counted = tally{lost: len(s.losses), restored: s.restored}
	for _, instance := range s.reported.Instances {
		if g.options.Serving(instance) {
			s.counted.serving++
		}
	}
	for _, l := range s.losses {
		if l.held {
			s.counted.held++
		}
	}
	g.totals.add(s.counted, 1)
	if g.held && g.synced { // before the sync, not all held instances are known
		g.hold.Instances, g.hold.Services = g.totals.held, g.totals.servicesHeld
	}
}

// expireLosses forgets the losses that are older than the window and not held.
func (g *Guard) expireLosses(now time.Time) {
	if !g.synced {
		return
	}
	n := 0
	for ; n < len(g.recent) && now.Sub(g.recent[n].at) > g.options.Window; n++ {
		ref := g.recent[n]
		s := g.services[ref.service]
		if s == nil {
			continue
		}
		if l, ok := s.losses[ref.id]; ok && !l.held && l.at.Equal(ref.at) {
			delete(s.losses, ref.id)
			g.recount(s)
			g.dropIfGone(s)
		}
	}
	g.recent = g.recent[n:]
}

// dropUnheld forgets the losses of a service that aren't held: the removals are applied.
func (g *Guard) dropUnheld(s *service) {
	for id, l := range s.losses {
		if !l.held {
			delete(s.losses, id)
		}
	}
	g.recount(s)
}
