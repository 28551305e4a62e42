package kube

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// leaseTimeout bounds one request for the lease. An isthmus that ends, and can't give its lease back, waits for so long.
const leaseTimeout = 5 * time.Second

// lease is the lock of an election that knows until when it is surely held. client-go's elector ends a leader's
// context only after it has tried to give the lease back, which takes RenewDeadline more where the API server hangs:
// others lead by then.
type lease struct {
	resourcelock.Interface
	// timeout bounds one request, so that one which hangs leaves time for another.
	timeout time.Duration
	// renewed is when the last request began that took or renewed the lease: others count from later on.
	renewed *atomic.Pointer[time.Time]
	// hesitates tells whether this replica would rather have another one lead, asked only before it takes the lease.
	hesitates func(context.Context) bool
	// holder is who holds the lease, as far as is known; passed counts how often it was left to others.
	holder string
	passed int
}

// errHesitates is the answer of a lease to who isn't in touch with Consul.
var errHesitates = errors.New("the lease is left to a replica that is in touch with Consul")

// patient is how often a free lease is left to others: one of them has tried twice by then.
const patient = 3

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
		if l.passed < patient && l.hesitates(ctx) {
			l.passed++
			return errHesitates
		}
		l.passed = 0
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	began := time.Now()
	err := request(ctx, record)
	if err != nil {
		return err
	}
	if l.holder = record.HolderIdentity; l.holder == l.Identity() {
		l.renewed.Store(&began)
	}
	return nil
}

// writing bounds one write: by writeTimeout, and by the time that the lease is surely held.
func (o *Output) writing(ctx context.Context) (context.Context, context.CancelFunc) {
	end := time.Now().Add(writeTimeout)
	if renewed := o.renewed.Load(); renewed != nil {
		if lost := renewed.Add(o.options.Election.RenewDeadline); lost.Before(end) {
			end = lost
		}
	}
	return context.WithDeadline(ctx, end)
}
