package engine

import (
	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

const (
	// newcomerPercent is the part of the budget that new services may use. The rest is left for existing ones that grow.
	newcomerPercent = 90
	// Before a source is complete, new services of at most earlyObjects objects may use earlyPercent of the budget. Others
	// wait until all are known, so that the smallest come first.
	earlyPercent = 50
	earlyObjects = 64
)

// Budget bounds the objects of the desired state: each of them costs the API server memory. Zero means no bound.
type Budget struct {
	// Objects is the largest number of objects.
	Objects int
	// ObjectsPerSource is the largest number of objects of a source, or of a group of merged sources.
	ObjectsPerSource int
}

// objectBudget counts the objects. What exists stays, and newcomers wait above the budget: the largest longest.
//
//	service                                   may use
//	new, its source is not complete           half of the budget, if it has at most 64 objects
//	new                                       nine tenths
//	of the last known good, or growing        all; a growing one keeps its existing objects and gets as many as fit
//	restored                                  more than all
type objectBudget struct {
	Budget
	// total and bySource are the numbers of the desired objects, and of live ones in their place.
	total    int
	bySource map[string]int
	// waiting are the services that wait, or some of whose objects do.
	waiting map[catalog.Key]waitingService
	// known are the services of the last known good or of the leader, by merger.keyOf.
	known map[catalog.Key]bool
	// evicted are services that must wait for others that the leader has.
	evicted map[catalog.Key]bool
	// restoring means that the last known good is being applied.
	restoring bool
	// freed means that services that wait are tried again.
	freed bool
}

type waitingService struct {
	// objects is the number of objects that wait.
	objects int
	// growing means that other objects of the service exist.
	growing bool
}

func newObjectBudget(b Budget) objectBudget {
	return objectBudget{
		Budget: b, bySource: map[string]int{}, waiting: map[catalog.Key]waitingService{},
		known: map[catalog.Key]bool{}, evicted: map[catalog.Key]bool{},
	}
}

func (b *objectBudget) enabled() bool { return b.Objects > 0 || b.ObjectsPerSource > 0 }

// charge counts objects of a source that come, or that leave if the number is negative.
func (b *objectBudget) charge(source string, objects int) {
	b.total += objects
	b.bySource[source] += objects
	b.freed = b.freed || objects < 0
}

// fits reports whether so many more objects of a source are within a part of the budget.
func (b *objectBudget) fits(source string, objects, percent int) bool {
	return objects <= b.free(source, percent)
}

// free returns how many more objects of a source are within a part of the budget.
func (b *objectBudget) free(source string, percent int) int {
	const unlimited = 1 << 40
	left := func(limit, used int) int {
		if limit == 0 {
			return unlimited
		}
		return limit/100*percent + limit%100*percent/100 - used
	}
	return max(0, min(left(b.Objects, b.total), left(b.ObjectsPerSource, b.bySource[source])))
}
