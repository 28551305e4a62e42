package guard

import "slices"

const (
	// generations is the number of generations. Later services all belong to the last one.
	generations = 32
	// smallestServices and smallestInstances are the sizes of a generation if fewer are older.
	smallestServices, smallestInstances = 16, 64
)

// counts are numbers of one generation.
type counts struct {
	// services are the services that serve, and the lost ones.
	services int
	// servicesLost are the services that lost all of their instances.
	servicesLost int
	// instances are the instances that serve, and the lost ones.
	instances int
	// lost are the lost instances.
	lost int
	// held are the lost instances of services of the generation, whatever the generation of the instance.
	held int
}

func (c *counts) add(other counts, sign int) {
	c.services += sign * other.services
	c.servicesLost += sign * other.servicesLost
	c.instances += sign * other.instances
	c.lost += sign * other.lost
	c.held += sign * other.held
}

// census are the counts of all generations. An older generation has a lower number.
type census [generations]counts

// upTo returns the sum over a generation and all older ones.
func (c *census) upTo(generation int) (sum counts) {
	for i := range generation + 1 {
		sum.add(c[i], 1)
	}
	return sum
}

// slots are instances of one service that have the same generation.
type slots struct{ generation, count int }

// contribution is the part of a census that comes from one service. A nil set means the census of the source.
type contribution struct {
	set        *set
	generation int
	counts
}

// newest returns the generation of a service or an instance that arrives now, and the number of instances that still fit
// into it. A generation is full when it is as large as all older ones together, so younger arrivals at most double the
// number that any service is compared with.
func (g *Guard) newest() (generation, room int) {
	if !g.synced && !g.hasRestored {
		return 0, int(^uint(0) >> 1)
	}
	newest := generations - 1
	for newest > 1 && g.known[newest] == (counts{}) {
		newest--
	}
	older, current := g.known.upTo(newest-1), g.known[newest]
	room = max(smallestInstances, older.instances) - current.instances
	if newest < generations-1 && (room <= 0 || current.services >= max(smallestServices, older.services)) {
		newest++
		room = max(smallestInstances, older.instances+current.instances)
	}
	if newest == generations-1 {
		room = int(^uint(0) >> 1)
	}
	return newest, room
}

// rank gives a service its generation.
func (g *Guard) rank(s *service, generation int) {
	s.ranked, s.generation = true, generation
	g.known[generation].services++
}

// settle gives a service its generation when it begins to serve, and changes the size of the service. New instances belong
// to the newest generation. The youngest leave first: a service that shrinks has its earlier size again.
func (g *Guard) settle(s *service, size int) {
	current := 0
	for _, part := range s.slots {
		current += part.count
	}
	switch {
	case size > 0 && !s.ranked:
		generation, _ := g.newest()
		g.rank(s, generation)
	case size == 0 && s.ranked:
		s.ranked = false
		g.known[s.generation].services--
	}
	if current > size {
		s.slots = without(s.slots, current-size, func(generation, n int) { g.known[generation].instances -= n })
	}
	for current < size {
		generation, room := g.newest()
		generation = max(generation, s.generation)
		n := min(size-current, room)
		if last := len(s.slots) - 1; last >= 0 && s.slots[last].generation >= generation {
			s.slots[last].count += n
			generation = s.slots[last].generation
		} else {
			s.slots = append(s.slots, slots{generation, n})
		}
		g.known[generation].instances += n
		current += n
	}
}

// without returns slots without the n youngest instances. It passes the removed ones to removed.
func without(all []slots, n int, removed func(generation, count int)) []slots {
	all = slices.Clone(all)
	for n > 0 && len(all) > 0 {
		last := &all[len(all)-1]
		taken := min(n, last.count)
		removed(last.generation, taken)
		if last.count -= taken; last.count == 0 {
			all = all[:len(all)-1]
		}
		n -= taken
	}
	return all
}
