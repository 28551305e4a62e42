package kube

import (
	"context"
	"net/netip"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/kube/conflict"
	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// reportLeaderAddresses lets the engine of a standby replica know the virtual addresses that the leader assigned to a
// service.
func (o *Output) reportLeaderAddresses(live client.Object) {
	entry, ok := live.(*networkingv1.ServiceEntry)
	feedback := o.feedback.Load()
	if !ok || feedback == nil || o.options.Election == nil || o.role.Load().phase() != standby {
		return
	}
	if name, addresses := object.AddressesOf(entry); len(addresses) > 0 {
		(*feedback).ReportConflicts(contract.Conflicts{LeaderAddresses: map[mesh.Name][]netip.Addr{name: addresses}})
	}
}

// detectYieldedHosts lets the engine of a standby replica know the hosts that a service yields.
func (o *Output) detectYieldedHosts(ctx context.Context, name mesh.Name) error {
	desired := o.state.Desired(name)
	if !desired.Authoritative {
		return nil
	}
	live, err := o.live(ctx, name)
	if err != nil {
		return err
	}
	o.conflicts.ResolveHosts(conflict.Service{Name: name, Desired: desired.Objects, Live: live})
	return nil
}

// takeOver gives the live objects to the engine before a term begins, because this replica may know less than the previous
// leader, or older state. It returns when the engine has taken them.
func (o *Output) takeOver(ctx context.Context) {
	feedback := o.feedback.Load()
	if feedback == nil || o.options.Election == nil || o.role.Load().phase() == starting {
		return // The engine loads the live objects before it does anything else.
	}
	now, err := o.snapshot(ctx)
	if err != nil {
		return // The cache has stopped.
	}
	now.Holds = o.holds.Current(ctx)
	(*feedback).TakeOver(ctx, now)
}
