package kube

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// occupied knows which virtual addresses somebody else's objects have, and which of our services have them too.
type occupied struct {
	mu sync.Mutex
	// claims are those that have any, by name; at are the same by address or range, blocks the ranges among these.
	claims map[string]claim
	at     map[netip.Prefix]map[string]claim
	blocks map[netip.Prefix]bool
	// given are the addresses of our services, owners the same by address.
	given  map[mesh.Name][]netip.Addr
	owners map[netip.Addr]mesh.Name
}

func newOccupied() occupied {
	return occupied{
		claims: map[string]claim{}, at: map[netip.Prefix]map[string]claim{}, blocks: map[netip.Prefix]bool{},
		given: map[mesh.Name][]netip.Addr{}, owners: map[netip.Addr]mesh.Name{},
	}
}

// put takes which addresses an object has now. It returns the services of ours that this concerns, and whether
// anything changed.
func (c *occupied) put(now claim) (concerned []mesh.Name, changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := now.String()
	before, known := c.claims[key]
	if !known && len(now.addresses) == 0 || known && before.equal(now) {
		return nil, false
	}
	touched := append(slices.Clone(before.addresses), now.addresses...)
	for _, prefix := range before.addresses {
		if delete(c.at[prefix], key); len(c.at[prefix]) == 0 {
			delete(c.at, prefix)
			delete(c.blocks, prefix)
		}
	}
	delete(c.claims, key)
	for _, prefix := range now.addresses {
		if c.at[prefix] == nil {
			c.at[prefix] = map[string]claim{}
		}
		c.at[prefix][key], c.claims[key] = now, now
		if !prefix.IsSingleIP() {
			c.blocks[prefix] = true
		}
	}
	for address, owner := range c.owners {
		if slices.ContainsFunc(touched, func(prefix netip.Prefix) bool { return prefix.Contains(address) }) {
			concerned = append(concerned, owner)
		}
	}
	return concerned, true
}

// all returns what others have.
func (c *occupied) all() []netip.Prefix {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Keys(c.at), netip.Prefix.Compare)
}

// give notes which addresses a service is to have, and returns what others say of each.
func (c *occupied) give(name mesh.Name, addresses []netip.Addr) map[netip.Addr][]claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, address := range c.given[name] {
		if c.owners[address] == name {
			delete(c.owners, address)
		}
	}
	if c.given[name] = addresses; len(addresses) == 0 {
		delete(c.given, name)
	}
	found := map[netip.Addr][]claim{}
	for _, address := range addresses {
		c.owners[address] = name
		claims := maps.Clone(c.at[netip.PrefixFrom(address, address.BitLen())])
		for block := range c.blocks {
			if block.Contains(address) {
				if claims == nil {
					claims = map[string]claim{}
				}
				maps.Copy(claims, c.at[block])
			}
		}
		if len(claims) > 0 {
			found[address] = slices.SortedFunc(maps.Values(claims), claim.compare)
		}
	}
	return found
}

// clashes returns the disputes about a service's virtual addresses.
//
// A single address is ours where a ServiceEntry of ours stands that has it and is older, since that is whom istiod sends
// connections to. Of a range that somebody else has, Envoy takes the single addresses out, whoever is older.
func (w *writer) clashes(objects []mesh.Object) (disputes []dispute) {
	claims := w.occupied.give(w.name, mesh.AddressesOf(objects))
	for _, address := range mesh.AddressesOf(objects) {
		for _, c := range claims[address] {
			if c.clashes(objects) {
				lost := c.has(address) && !w.stood(c.since, func(entry *networkingv1.ServiceEntry) bool {
					return slices.Contains(entry.Spec.Addresses, address.String())
				})
				disputes = append(disputes, dispute{address: address, claim: c.String(), lost: lost})
			}
		}
	}
	return disputes
}

// vacate has the bridge give a service other addresses in place of those that are somebody else's. It returns whether
// there were any.
func (w *writer) vacate(ctx context.Context, objects []mesh.Object) bool {
	listener := w.listener.Load()
	var lost []netip.Addr
	for _, d := range w.clashes(objects) {
		if d.lost && listener != nil {
			w.log.Warn("a virtual address is somebody else's, who had it first; the service gets another",
				"service", w.name, "address", d.address, "of", d.claim)
			lost = append(lost, d.address)
		}
	}
	if len(lost) == 0 {
		return false
	}
	select {
	case <-(*listener).ReportConflicts(contract.Conflicts{LostAddresses: map[mesh.Name][]netip.Addr{w.name: lost}}):
	case <-ctx.Done():
	}
	return true
}

// listen lets the bridge know of hosts and virtual addresses from now on.
func (o *Output) listen(listener contract.Feedback) {
	o.listener.Store(&listener)
	o.tellLeft(listener)
	o.tellOthers()
}

// tellOthers lets the bridge know that others have other addresses. Before all is known, it will ask by itself.
func (o *Output) tellOthers() {
	if listener := o.listener.Load(); listener != nil && o.queue.Load() != nil {
		(*listener).ReportConflicts(contract.Conflicts{ForeignAddresses: o.occupied.all})
	}
}
