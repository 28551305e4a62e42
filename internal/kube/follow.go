package kube

import (
	"context"
	"net/netip"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/bridge"
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
		(*listener).Heed(bridge.AddressNews{Given: map[mesh.Name][]netip.Addr{name: addresses}})
	}
}

// takeOver has the bridge go on from the addresses that stand, before a term begins in which this replica would write
// its own.
func (o *Output) takeOver(ctx context.Context) {
	listener := o.listener.Load()
	if listener == nil || o.queue.Load() == nil || o.options.Election == nil {
		return // nothing was given yet: what stands is read first
	}
	var entries networkingv1.ServiceEntryList
	if err := o.cache.List(ctx, &entries, client.UnsafeDisableDeepCopy); err != nil {
		return // isthmus stops
	}
	given := map[mesh.Name][]netip.Addr{}
	for _, entry := range entries.Items {
		if name, addresses := addressesOf(entry); len(addresses) > 0 {
			given[name] = addresses
		}
	}
	select {
	case <-(*listener).Heed(bridge.AddressNews{Given: given}):
	case <-ctx.Done():
	}
}

// addressesOf returns the addresses of a ServiceEntry of ours, and whose they are.
func addressesOf(entry *networkingv1.ServiceEntry) (name mesh.Name, addresses []netip.Addr) {
	name, ok := serviceOf(entry)
	if !ok || !ours(entry) {
		return name, nil
	}
	return name, mesh.AddressesOf([]mesh.Object{{Spec: &entry.Spec}})
}
