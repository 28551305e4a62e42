package kube

import (
	"context"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// phase is the role of a replica in one word.
//
//	            caches synced               lease taken
//	starting ------------------> standby ------------------> leading
//	    |                           ^                           |
//	    |                           +---------------------------+
//	    |                                    lease lost
//	    |
//	    |  caches synced, lease taken before
//	    +--------------------------------------------------> leading
type phase int

const (
	// starting is the phase before the caches are synced. Reconcile does nothing.
	starting phase = iota
	// standby is the phase of a replica that does not lead. Reconcile detects yielded hosts and writes nothing.
	standby
	// leading is the phase of the replica that writes.
	leading
)

type queue = workqueue.TypedRateLimitingInterface[mesh.Name]

// role is the role of a replica. A role never changes; updateRole replaces it.
type role struct {
	// queue is the queue of the controller; nil until the caches are synced.
	queue queue
	// leaderCtx ends when the replica loses the lease; nil while it does not lead.
	leaderCtx context.Context
	// follows reports whether another replica leads, or this one has lost the lease. It is false before the first
	// election, and while this replica takes over.
	follows bool
	// renewed is when the last request began that took or renewed the lease; zero without an election. Other replicas
	// count the lease from a later time.
	renewed time.Time
}

func (r *role) phase() phase {
	switch {
	case r.queue == nil:
		return starting
	case r.leaderCtx == nil:
		return standby
	default:
		return leading
	}
}

// updateRole replaces the role by a changed copy, and returns the role before.
func (o *Output) updateRole(change func(*role)) (before *role) {
	for {
		before = o.role.Load()
		after := *before
		change(&after)
		if o.role.CompareAndSwap(before, &after) {
			return before
		}
	}
}
