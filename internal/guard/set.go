package guard

import (
	"fmt"
	"math"
	"time"
)

// set is one mass removal that is held. It ends by itself: other removals and arrivals have no influence.
type set struct {
	// number counts the sets of a source.
	number int
	// all reports whether all lost instances are held, and not only those of services that lost all instances.
	all bool
	// inherited reports whether the set began in an earlier run or on another replica.
	inherited bool
	// began is the time from which Options.ReleaseAfter counts. For an inherited set it is the time of the sync.
	began time.Time
	// allowed are the losses that would not have been held: the limits by what served before, for each generation.
	allowed [generations]limits
	// remaining are the held losses, by generation.
	remaining census
	// changed are the times at which the registry last reported an instance of the set again, or the last loss joined, for
	// each generation.
	changed [generations]time.Time
	// nodes count the held instances by node.
	nodes map[string]int
	// members are the names of the services with held instances.
	members map[string]bool
}

// limits are numbers of losses.
type limits struct{ services, instances int }

// limitsOf returns the limits for a number of services and instances.
func (o Options) limitsOf(all counts) limits {
	return limits{
		services:  max(o.FewServices, int(math.Floor(o.Services*float64(all.services)))),
		instances: max(o.FewInstances, int(math.Floor(o.Instances*float64(all.instances)))),
	}
}

// over reports whether losses exceed the limits.
func (l limits) over(lost counts) (services, instances bool) {
	return lost.servicesLost > l.services, lost.lost > l.instances
}

// exceeded reports whether the losses of the window, or of the open set, exceed a limit. For each generation, it compares
// the losses with what served of this and older generations.
func (g *Guard) exceeded() (services, instances bool) {
	var sum counts
	for generation := range generations {
		sum.add(g.current[generation], 1)
		lost, allowed := sum, g.options.limitsOf(sum)
		lost.servicesLost -= g.acknowledged.Services
		lost.lost -= g.acknowledged.Instances
		overServices, overInstances := allowed.over(lost)
		services, instances = services || overServices, instances || overInstances
	}
	return services, instances
}

// begin opens a new set. Its limits depend on what serves now and what was lost within the window.
func (g *Guard) begin(now time.Time, all bool) *set {
	g.begun++
	t := &set{number: g.begun, all: all, began: now, nodes: map[string]int{}, members: map[string]bool{}}
	g.fix(t)
	g.sets = append(g.sets, t)
	g.open = t
	return t
}

// fix sets the limits of a set.
func (g *Guard) fix(t *set) {
	var sum counts
	for generation := range generations {
		sum.add(g.current[generation], 1)
		t.allowed[generation] = g.options.limitsOf(sum)
	}
}

// isOver reports whether the remaining losses up to a generation exceed the limits.
func (t *set) isOver(generation int) bool {
	services, instances := t.allowed[generation].over(t.remaining.upTo(generation))
	return services || instances
}

// quietSince returns the last change up to a generation.
func (t *set) quietSince(generation int) time.Time {
	last := t.began
	for _, at := range t.changed[:generation+1] {
		if at.After(last) {
			last = at
		}
	}
	return last
}

// dueAt returns the time at which the losses of a generation leave the set: one window after the last change if the set is
// below all limits; after Options.SeparateAfter if only this and older generations are. It returns the zero time if only the
// registry or an operator can end the hold. Younger generations can only bring it forward.
func (t *set) dueAt(o Options, generation int) time.Time {
	var due time.Time
	earliest := func(at time.Time) {
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	if o.ReleaseAfter > 0 {
		earliest(t.began.Add(o.ReleaseAfter))
	}
	if !t.isOver(generation) {
		earliest(t.quietSince(generation).Add(o.separateAfter()))
		over := false
		for other := range generations {
			over = over || t.remaining[other].held > 0 && t.isOver(other)
		}
		if !over {
			earliest(t.quietSince(generations - 1).Add(o.Window))
		}
	}
	return due
}

// reason describes the losses that begin or extend a hold: those of the oldest generation with which a limit is exceeded.
func (g *Guard) reason(when string) string {
	var sum counts
	for generation := range generations {
		sum.add(g.current[generation], 1)
		if services, instances := g.options.limitsOf(sum).over(sum); services || instances {
			break
		}
	}
	text := fmt.Sprintf("%d of %d instances removed %s, %d of %d services with all instances",
		sum.lost, sum.instances, when, sum.servicesLost, sum.services)
	if younger := g.current.upTo(generations-1).services - sum.services; younger > 0 {
		text += fmt.Sprintf("; %d younger services don't count", younger)
	}
	return text
}
