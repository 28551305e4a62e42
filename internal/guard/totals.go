package guard

import "slices"

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
	// held is the number of lost instances that are held.
	held int
	// servicesHeld is the number of services that lost all of their instances, some of which are held.
	servicesHeld int
	// restored is the number of services that are known from an earlier run only, at least in part.
	restored int
}

// add adds a tally to the totals, or subtracts it if sign is -1.
func (t *totals) add(s tally, sign int) {
	count := func(condition bool) int {
		if condition {
			return sign
		}
		return 0
	}
	t.held += sign * s.held
	t.restored += count(s.restored)
	t.servicesHeld += count(s.serving == 0 && s.held > 0)
}

// recount updates all sums after a change of one service.
func (g *Guard) recount(s *service) {
	g.totals.add(s.counted, -1)
	g.contribute(s, -1)
	s.counted = tally{lost: len(s.losses), restored: s.restored}
	for _, instance := range s.reported.Instances {
		if g.options.Serving(instance) {
			s.counted.serving++
		}
	}
	for _, l := range s.losses {
		if l.set != nil {
			s.counted.held++
		}
	}
	g.settle(s, s.counted.serving+s.counted.lost)
	s.contributions = g.contributionsOf(s)
	g.contribute(s, 1)
	g.totals.add(s.counted, 1)
}

// contribute adds the contributions of a service to the sums, or subtracts them if sign is -1.
func (g *Guard) contribute(s *service, sign int) {
	for _, part := range s.contributions {
		if part.set == nil {
			g.current[part.generation].add(part.counts, sign)
		} else {
			part.set.remaining[part.generation].add(part.counts, sign)
		}
	}
}

// contributionsOf returns the contributions of a service. Losses of closed sets are no part of the source: they don't count
// for later removals.
func (g *Guard) contributionsOf(s *service) (parts []contribution) {
	if s.counted.lost == 0 {
		return g.servingOf(s, s.slots, nil)
	}
	lost := map[*set]int{}
	for _, l := range s.losses {
		lost[l.set]++
	}
	sets := make([]*set, 0, len(lost))
	for t := range lost {
		sets = append(sets, t)
	}
	slices.SortFunc(sets, func(a, b *set) int { return a.order() - b.order() })
	rest, counted := s.slots, s.counted.serving > 0
	for _, t := range sets {
		now := t == nil || t == g.open
		rest = without(rest, lost[t], func(generation, n int) {
			if t != nil {
				parts = append(parts, contribution{t, generation, counts{lost: n}})
			}
			if now {
				parts = append(parts, contribution{nil, generation, counts{instances: n, lost: n}})
			}
		})
		if t != nil {
			parts = append(parts, contribution{t, s.generation, counts{held: lost[t]}})
			if s.counted.lostAll() {
				parts = append(parts, contribution{t, s.generation, counts{servicesLost: 1}})
			}
		}
		if now && !counted {
			counted = true
			parts = append(parts, contribution{nil, s.generation, counts{services: 1, servicesLost: 1}})
		}
	}
	return g.servingOf(s, rest, parts)
}

// servingOf appends the contributions of the instances of a service that serve.
func (g *Guard) servingOf(s *service, rest []slots, parts []contribution) []contribution {
	if s.counted.serving > 0 {
		parts = append(parts, contribution{nil, s.generation, counts{services: 1}})
	}
	for _, part := range rest {
		parts = append(parts, contribution{nil, part.generation, counts{instances: part.count}})
	}
	return parts
}

// order sorts sets from old to new. Losses without a set are the newest.
func (t *set) order() int {
	if t == nil {
		return int(^uint(0) >> 1)
	}
	return t.number
}
