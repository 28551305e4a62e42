package xds

import (
	"slices"
	"time"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// moveTime is the longest that a move waits for an istiod. One that is slower may see the service without endpoints
	// for a while.
	moveTime = 10 * time.Second
	// moveLook is how often it is looked at whether all istiods have taken a step.
	moveLook = 20 * time.Millisecond
)

// moves are the services under way between namespaces, names or forms of their endpoints, and where they stopped.
//
// A client takes each kind by itself, in any order. So that it never has an entry without its endpoints, what they need
// is published in steps, each when every client has taken the one before.
type moves map[mesh.Name]stop

// stop is a step that was published.
type stop struct {
	edition uint64
	since   time.Time
}

// waits tells whether a service has to wait where it is, now that all clients have taken an edition.
func (m moves) waits(name mesh.Name, taken uint64, now time.Time) bool {
	at, moving := m[name]
	return moving && taken < at.edition && now.Sub(at.since) < moveTime
}

// onTheWay returns what comes next on the way from what is served of a service to what is desired, and whether the way
// ends there. A service that moves gets its new WorkloadEntries first, then its entry, and loses the old WorkloadEntries
// last.
func onTheWay(served, desired []mesh.Object) (next []mesh.Object, arrived bool) {
	if len(served) == 0 || len(desired) == 0 || stays(served[0], desired[0]) {
		return desired, true
	}
	lacks := func(has []mesh.Object, object mesh.Object) bool {
		return object.Kind == mesh.WorkloadEntryKind &&
			!slices.ContainsFunc(has, func(o mesh.Object) bool { return reference(o) == reference(object) })
	}
	next = slices.Clone(served)
	for _, object := range desired {
		if lacks(served, object) {
			next = append(next, object)
		}
	}
	if len(next) > len(served) {
		return next, false
	}
	next = slices.Clone(desired)
	for _, object := range served {
		if lacks(desired, object) {
			next = append(next, object)
		}
	}
	return next, len(next) == len(desired)
}

// stays tells whether two ServiceEntries, which come first among a service's objects, are the same one and find their
// endpoints in the same way.
func stays(served, desired mesh.Object) bool {
	selects := func(o mesh.Object) bool { return o.Spec.(*networking.ServiceEntry).GetWorkloadSelector() != nil }
	return reference(served) == reference(desired) && selects(served) == selects(desired)
}
