package kube

import (
	"context"
	"errors"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// leaseTimeout bounds one request for the lease. An isthmus that stops, and can't release its lease, waits for so long.
const leaseTimeout = 5 * time.Second

// lease is the lock of an election that knows until when this replica surely holds it. client-go's elector ends the
// context of a leader only after it has tried to release the lease. If the API server hangs, that takes RenewDeadline
// more, and another replica leads by then.
type lease struct {
	resourcelock.Interface
	// timeout bounds one request, so that there is time for another one when a request hangs.
	timeout time.Duration
	// setRenewed is called with the start of each request that took or renewed the lease.
	setRenewed func(time.Time)
	// shouldYield reports whether another replica had better lead. It is called only before the lease is taken.
	shouldYield func(context.Context) bool

	// The following fields belong to the goroutine of the elector.

	// holder is the identity of the replica that holds the lease, as far as is known.
	holder string
	// yields counts how often in a row this replica did not take the lease.
	yields int
}

// errYielded is the result of a request for the lease on a replica that is not connected to Consul.
var errYielded = errors.New("the lease is left to a replica that is connected to Consul")

// maxYields is how often in a row a replica leaves a free lease to others. Another replica has tried twice by then.
const maxYields = 3

// Get implements resourcelock.Interface.
func (l *lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	record, raw, err := l.Interface.Get(ctx)
	if record != nil {
		l.holder = record.HolderIdentity
	}
	return record, raw, err
}

// Create implements resourcelock.Interface.
func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.take(ctx, record, l.Interface.Create)
}

// Update implements resourcelock.Interface.
func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.take(ctx, record, l.Interface.Update)
}

func (l *lease) take(ctx context.Context, record resourcelock.LeaderElectionRecord,
	request func(context.Context, resourcelock.LeaderElectionRecord) error,
) error {
	if record.HolderIdentity == l.Identity() && l.holder != l.Identity() {
		if l.yields < maxYields && l.shouldYield(ctx) {
			l.yields++
			return errYielded
		}
		l.yields = 0
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	start := time.Now()
	err := request(ctx, record)
	if err != nil {
		return err
	}
	if l.holder = record.HolderIdentity; l.holder == l.Identity() {
		l.setRenewed(start)
	}
	return nil
}

// writeContext bounds one write by writeTimeout, and by the time until which this replica surely holds the lease.
func (o *Output) writeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline := time.Now().Add(writeTimeout)
	if renewed := o.role.Load().renewed; !renewed.IsZero() {
		if lost := renewed.Add(o.options.Election.RenewDeadline); lost.Before(deadline) {
			deadline = lost
		}
	}
	return context.WithDeadline(ctx, deadline)
}
