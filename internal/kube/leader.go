package kube

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Election configures leader election by a Lease. The times are those of client-go's leaderelection; most controllers use
// its defaults of 15 s, 10 s and 2 s.
type Election struct {
	Namespace string
	Name      string
	// Identity identifies this replica.
	Identity string
	// LeaseDuration is how long other replicas wait for a leader that does not renew its lease.
	LeaseDuration time.Duration
	// RenewDeadline is how long a leader that can't renew its lease keeps writing.
	RenewDeadline time.Duration
	// RetryPeriod is the time between two tries to take or renew the lease.
	RetryPeriod time.Duration
}

// lead takes part in the election until ctx ends, and releases the lease then. A replica that loses the lease, because it
// could not reach the API server, stops writing and takes part again. It keeps its state of Consul.
func (o *Output) lead(ctx context.Context) error {
	if o.options.Election == nil {
		o.startTerm(ctx)
		<-ctx.Done()
		return nil
	}
	elector, err := o.newElector()
	if err != nil {
		return fmt.Errorf("set up leader election: %w", err)
	}
	for ctx.Err() == nil {
		elector.Run(ctx)
	}
	return nil
}

func (o *Output) newElector() (*leaderelection.LeaderElector, error) {
	election := o.options.Election
	config := rest.CopyConfig(o.options.REST)
	config.RateLimiter = nil // The lease must not wait for writes.
	client, err := coordinationv1.NewForConfigAndClient(config, o.http)
	if err != nil {
		return nil, err
	}
	return leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: election.Name,
		Lock: &lease{
			Interface: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: election.Namespace, Name: election.Name},
				Client:     client,
				LockConfig: resourcelock.ResourceLockConfig{Identity: election.Identity},
			},
			timeout: min(election.RenewDeadline/2, leaseTimeout),
			setRenewed: func(at time.Time) {
				o.updateRole(func(r *role) { r.renewed = at })
			},
			shouldYield: func(ctx context.Context) bool {
				feedback := o.feedback.Load()
				return feedback != nil && !(*feedback).Connected(ctx)
			},
		},
		LeaseDuration:   election.LeaseDuration,
		RenewDeadline:   election.RenewDeadline,
		RetryPeriod:     election.RetryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnNewLeader: func(identity string) {
				o.updateRole(func(r *role) { r.follows = identity != election.Identity })
			},
			OnStartedLeading: func(ctx context.Context) {
				o.log.Info(MessageLeading, "name", election.Name, "replica", election.Identity)
				o.startTerm(ctx)
			},
			OnStoppedLeading: o.endTerm,
		},
	})
}

// startTerm makes this replica write until ctx ends, and queues all services.
func (o *Output) startTerm(ctx context.Context) {
	o.expectations.clear()
	o.driftBackoff.clear()
	if o.takeOver(ctx); ctx.Err() != nil {
		return // The term is over already.
	}
	o.updateRole(func(r *role) { r.leaderCtx = ctx })
	o.metrics.leader.Set(1)
	o.holds.Wake.Notify()
	if o.role.Load().phase() == leading {
		o.queueAll()
	}
}

// endTerm makes this replica a standby. It has written all services once, so it stays ready.
func (o *Output) endTerm() {
	before := o.updateRole(func(r *role) { r.follows, r.leaderCtx = true, nil })
	if before.leaderCtx != nil {
		o.log.Info(MessageNotLeading, "name", o.options.Election.Name)
	}
	o.metrics.leader.Set(0)
	o.conflicts.Clear()
}
