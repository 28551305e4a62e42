package engine

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// recallAddresses begins with the virtual addresses that services had.
func (b *Engine) recallAddresses(addresses map[mesh.Name][]netip.Addr) {
	for _, name := range slices.SortedFunc(maps.Keys(addresses), mesh.Name.Compare) {
		for _, clash := range b.addresses.Restore(name, addresses[name]) {
			b.log.Warn("a virtual address stands at two services; this one gets another", "service", name, "address", clash)
		}
	}
}

// giveAddresses writes the virtual addresses of a service into its new resources. It returns the services that lost
// theirs to it.
func (b *Engine) giveAddresses(made *service, resources mesh.Resources) (displaced []mesh.Name) {
	if !b.options.Addresses.Enabled() || len(resources.Objects) == 0 {
		return nil
	}
	addresses, displaced, err := b.addresses.Take(made.name)
	if err != nil {
		made.findings = append(made.findings, mesh.Finding{Reason: mesh.NoVirtualAddress, Detail: err.Error(), Count: 1})
	}
	if clashes := len(made.clashes); clashes > 0 {
		made.findings = append(made.findings, mesh.Finding{
			Reason: mesh.AddressClash, Count: clashes,
			Detail: "instances are registered with addresses of the range of virtual addresses: choose another range in virtualAddresses",
		})
	}
	resources.SetAddresses(addresses)
	if !slices.Equal(addresses, mesh.AddressesOf(b.desired[made.name].Objects)) {
		b.options.Memory.Save(contract.Change{Addresses: map[mesh.Name][]netip.Addr{made.name: addresses}})
	}
	return displaced
}

// register keeps services from the addresses that instances are registered with. It returns those that lost theirs.
func (b *Engine) register(made *service, before map[netip.Addr]bool) (displaced []mesh.Name) {
	if !b.options.Addresses.Enabled() {
		return nil
	}
	for _, instance := range made.Instances {
		ip, err := netip.ParseAddr(instance.Address)
		if ip = ip.Unmap(); err != nil || !b.options.Addresses.Contains(ip) || made.clashes[ip] {
			continue
		}
		if made.clashes == nil {
			made.clashes = map[netip.Addr]bool{}
		}
		made.clashes[ip] = true
	}
	for ip := range made.clashes {
		if before[ip] {
			continue
		}
		if loser := b.addresses.Register(ip); loser != (mesh.Name{}) {
			displaced = append(displaced, loser)
		}
	}
	for ip := range before {
		if !made.clashes[ip] {
			b.addresses.Deregister(ip)
			b.freed = true
		}
	}
	return displaced
}

// moveAway gives services that lost their addresses others, and returns whose resources changed.
func (b *Engine) moveAway(displaced []mesh.Name, observed time.Time) (changed []mesh.Name) {
	for _, name := range displaced {
		if known, ok := b.services[b.desired[name].owner]; ok {
			changed = append(changed, b.retranslate(known.Service, observed)...)
		}
	}
	return changed
}

// settleAddresses keeps newcomers from the addresses of a source's services, or of its group's, once all are known.
func (b *Engine) settleAddresses(source string) {
	name := source
	if group := b.merger.groups[source]; group != "" {
		name = group
	}
	if len(b.waiting(name)) == 0 {
		b.addresses.Freeze(name, b.now())
	}
}

// expireAddresses gives back the addresses of services that left long ago, and returns when more will be.
func (b *Engine) expireAddresses(now time.Time) (next time.Time) {
	gone := map[mesh.Name][]netip.Addr{}
	for _, name := range b.addresses.Expire(now) {
		gone[name] = nil
	}
	if len(gone) > 0 {
		b.options.Memory.Save(contract.Change{Addresses: gone})
		b.log.Debug("virtual addresses were given back", "services", len(gone))
		b.freed = true
	}
	if b.freed {
		b.freed = false
		b.fill(now)
	}
	return b.addresses.Due()
}

// fill gives the services that have no address one that was given back.
func (b *Engine) fill(now time.Time) {
	lacks := func(f mesh.Finding) bool { return f.Reason == mesh.NoVirtualAddress }
	for _, key := range slices.SortedFunc(maps.Keys(b.services), catalog.Key.Compare) {
		if !slices.ContainsFunc(b.services[key].findings, lacks) {
			continue
		}
		b.mu.Lock()
		changed := b.retranslate(b.services[key].Service, now)
		b.mu.Unlock()
		b.notify(changed)
	}
}
