package xds

import (
	"slices"
	"time"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// migrationTimeout is the longest time that one step of a migration waits for the clients. On a client that is slower,
	// the service may have no endpoints for a while.
	migrationTimeout = 10 * time.Second
	// migrationPoll is how often the output checks whether all clients have acknowledged a step.
	migrationPoll = 20 * time.Millisecond
)

// migrations holds the services that are moving to another namespace, name or form of endpoints, and the latest published
// step of each. The package comment shows the steps.
type migrations map[mesh.Name]step

// step is a published step of a migration.
type step struct {
	// edition is the edition that published the step.
	edition uint64
	// since is when the step was published.
	since time.Time
}

// waiting reports whether a service has to stay at its current step, given the edition that all clients have acknowledged.
func (m migrations) waiting(name mesh.Name, acked uint64, now time.Time) bool {
	at, migrating := m[name]
	return migrating && acked < at.edition && now.Sub(at.since) < migrationTimeout
}

// nextStep returns the next step from the objects that are served for a service to the desired objects, and whether it is
// the last step. The service gets its new WorkloadEntries first, then its new ServiceEntry, and loses the old
// WorkloadEntries last.
func nextStep(served, desired []mesh.Object) (next []mesh.Object, done bool) {
	if len(served) == 0 || len(desired) == 0 || sameBinding(served[0], desired[0]) {
		return desired, true
	}
	next = appendMissingWorkloads(served, desired)
	if len(next) > len(served) {
		return next, false
	}
	next = appendMissingWorkloads(desired, served)
	return next, len(next) == len(desired)
}

// appendMissingWorkloads returns a copy of objects with the WorkloadEntries of more that objects does not have.
func appendMissingWorkloads(objects, more []mesh.Object) []mesh.Object {
	all := slices.Clone(objects)
	for _, object := range more {
		exists := func(o mesh.Object) bool { return objectKey(o) == objectKey(object) }
		if object.Kind == mesh.WorkloadEntryKind && !slices.ContainsFunc(objects, exists) {
			all = append(all, object)
		}
	}
	return all
}

// sameBinding reports whether two ServiceEntries are the same object and select their endpoints in the same way.
func sameBinding(served, desired mesh.Object) bool {
	selects := func(o mesh.Object) bool { return o.Spec.(*networking.ServiceEntry).GetWorkloadSelector() != nil }
	return objectKey(served) == objectKey(desired) && selects(served) == selects(desired)
}
