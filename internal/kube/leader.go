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

// Election is a leader election by Lease. The times are those of client-go's leaderelection, whose defaults
// (15 s, 10 s, 2 s) most controllers use.
type Election struct {
	Namespace string
	Name      string
	// Identity tells this replica from the others.
	Identity string
	// LeaseDuration is how long others wait for a leader that is silent.
	LeaseDuration time.Duration
	// RenewDeadline is how long a leader goes on that can't renew its lease.
	RenewDeadline time.Duration
	// RetryPeriod is the time between two tries to get or renew the lease.
	RetryPeriod time.Duration
}

// lead takes part in the election until ctx ends, and gives the lease back then. A replica that loses the lease,
// since the API server was away, stops writing and stands again: what it knows of Consul stays warm.
func (o *Output) lead(ctx context.Context) error {
	if o.options.Election == nil {
		o.startTerm(ctx)
		<-ctx.Done()
		return nil
	}
	elector, err := o.newElector()
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	for ctx.Err() == nil {
		elector.Run(ctx)
	}
	return nil
}

func (o *Output) newElector() (*leaderelection.LeaderElector, error) {
	election := o.options.Election
	config := rest.CopyConfig(o.options.REST)
	config.RateLimiter = nil // a lease doesn't wait behind writes
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
			renewed: &o.renewed,
			hesitates: func(ctx context.Context) bool {
				listener := o.listener.Load()
				return listener != nil && !(*listener).Connected(ctx)
			},
		},
		LeaseDuration:   election.LeaseDuration,
		RenewDeadline:   election.RenewDeadline,
		RetryPeriod:     election.RetryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnNewLeader: func(identity string) {
				o.standby.Store(identity != election.Identity)
			},
			OnStartedLeading: func(ctx context.Context) {
				o.log.Info("leading: this replica writes", "lease", election.Name, "identity", election.Identity)
				o.startTerm(ctx)
			},
			OnStoppedLeading: func() {
				o.standby.Store(true) // it stands again, and has written all once
				if o.term.Swap(nil) != nil {
					o.log.Info("no longer leading", "lease", election.Name)
				}
				o.metrics.leader.Set(0)
				o.forgetDisputes()
			},
		},
	})
}

// startTerm lets the writers write until ctx ends, and has them look at everything first.
func (o *Output) startTerm(ctx context.Context) {
	o.ledger.clear()
	o.quarrels.clear()
	if o.takeOver(ctx); ctx.Err() != nil {
		return // the term is over already
	}
	o.term.Store(&ctx)
	o.metrics.leader.Set(1)
	o.memory.wake.Notify()
	if o.queue.Load() != nil {
		o.lookAtAll()
	}
}
