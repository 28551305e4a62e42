package kube

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// follow lets the bridge know which addresses the leader gave a service, on a replica that doesn't lead.
func (o *Output) follow(object client.Object) {
	entry, ok := object.(*networkingv1.ServiceEntry)
	listener := o.listener.Load()
	if !ok || listener == nil || o.queue.Load() == nil || o.options.Election == nil || o.term.Load() != nil {
		return
	}
	if name, addresses := addressesOf(entry); len(addresses) > 0 {
		(*listener).ReportConflicts(contract.Conflicts{LeaderAddresses: map[mesh.Name][]netip.Addr{name: addresses}})
	}
}

// watchHosts finds out which hosts are left to others, on a replica that doesn't lead.
func (o *Output) watchHosts(ctx context.Context, name mesh.Name) error {
	desired := o.state.Desired(name)
	if !desired.Authoritative {
		return nil
	}
	standing, err := o.standing(ctx, name)
	if err != nil {
		return err
	}
	w := writer{Output: o, name: name, standing: standing}
	w.arbitrate(desired.Objects)
	return nil
}

// leave lets the bridge know which hosts of a service are left to others.
func (o *Output) leave(name mesh.Name, hosts []string) {
	o.neighbours.mu.Lock()
	defer o.neighbours.mu.Unlock()
	if slices.Equal(o.neighbours.left[name], hosts) {
		return
	}
	if o.neighbours.left[name] = hosts; len(hosts) == 0 {
		delete(o.neighbours.left, name)
	}
	if listener := o.listener.Load(); listener != nil {
		(*listener).ReportConflicts(contract.Conflicts{YieldedHosts: map[mesh.Name][]string{name: hosts}})
	}
}

// tellLeft lets a bridge that has begun to listen know of all hosts that are left to others.
func (o *Output) tellLeft(listener contract.Feedback) {
	o.neighbours.mu.Lock() // so that what is known later is told later
	defer o.neighbours.mu.Unlock()
	if len(o.neighbours.left) > 0 {
		listener.ReportConflicts(contract.Conflicts{YieldedHosts: maps.Clone(o.neighbours.left)})
	}
}

// takeOver has the bridge go on from what stands, before a term begins in which this replica would write its own: what it
// knows may be older, or less.
func (o *Output) takeOver(ctx context.Context) {
	listener := o.listener.Load()
	if listener == nil || o.queue.Load() == nil || o.options.Election == nil {
		return // what stands is read first
	}
	now, err := o.recall(ctx)
	if err != nil {
		return // isthmus stops
	}
	if _, said, err := o.memory.cached(ctx); err == nil {
		now.Holds = said.Holds
	} else {
		now.Holds, _ = o.memory.known()
	}
	(*listener).TakeOver(ctx, now)
}

// addressesOf returns the addresses of a ServiceEntry of ours, and whose they are.
func addressesOf(entry *networkingv1.ServiceEntry) (name mesh.Name, addresses []netip.Addr) {
	name, ok := serviceOf(entry)
	if !ok || !ours(entry) {
		return name, nil
	}
	return name, mesh.AddressesOf([]mesh.Object{{Spec: &entry.Spec}})
}
