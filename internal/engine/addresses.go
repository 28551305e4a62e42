package engine

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// addressState is the state of the virtual addresses.
type addressState struct {
	// pool assigns addresses to services.
	pool *vip.Pool
	// foreign are the addresses of objects of others.
	foreign []netip.Prefix
	// deferred are the addresses that the leader assigned and that another service still has here.
	deferred map[mesh.Name][]netip.Addr
	// capacityFreed reports whether an address may have become free since the last assignment.
	capacityFreed bool
}

func newAddressState(options vip.Options) addressState {
	return addressState{pool: vip.New(options), deferred: map[mesh.Name][]netip.Addr{}}
}

// restoreAddresses assigns the virtual addresses of the previous run.
func (e *Engine) restoreAddresses(addresses map[mesh.Name][]netip.Addr) {
	for _, name := range slices.SortedFunc(maps.Keys(addresses), mesh.Name.Compare) {
		for _, clash := range e.addresses.pool.Restore(name, addresses[name]) {
			e.log.Warn("virtual address belongs to two services, reassigning it", "service", name, "address", clash)
		}
	}
}

// assignAddresses sets the virtual addresses of a service and of its tags in their new resources. It returns the services
// that lost their addresses to it.
func (e *Engine) assignAddresses(next *serviceState, resources mesh.Resources) (evicted []mesh.Name) {
	if !e.options.Addresses.Enabled() || len(resources.Objects) == 0 {
		return nil
	}
	evicted = e.takeAddresses(next, next.name, resources)
	for _, host := range resources.TagHosts {
		evicted = append(evicted, e.takeAddresses(next, next.name.OfTag(host.Tag), mesh.Resources{Objects: host.Objects})...)
	}
	if clashes := len(next.clashes); clashes > 0 {
		next.findings = mesh.AddFinding(next.findings, mesh.AddressClash, "", "instances have addresses, or virtual addresses of Consul, within the range of virtual addresses: choose another range in virtualAddresses", clashes)
	}
	return evicted
}

// takeAddresses sets the virtual addresses of a name in its new resources.
func (e *Engine) takeAddresses(next *serviceState, name mesh.Name, resources mesh.Resources) (evicted []mesh.Name) {
	addresses, evicted, err := e.addresses.pool.Take(name)
	if err != nil {
		next.findings = mesh.AddFinding(next.findings, mesh.NoVirtualAddress, subjectOf(name), err.Error(), 1)
	}
	resources.SetAddresses(addresses)
	if !slices.Equal(addresses, mesh.AddressesOf(e.byName[name].desired.Objects)) {
		e.options.Store.Save(contract.Change{Addresses: map[mesh.Name][]netip.Addr{name: addresses}})
	}
	return evicted
}

// excludeInstances excludes the addresses of a service's instances from the virtual addresses. It returns the services
// that lost an address to an instance.
func (e *Engine) excludeInstances(next *serviceState, before map[netip.Addr]bool) (evicted []mesh.Name) {
	if !e.options.Addresses.Enabled() {
		return nil
	}
	next.clashes = e.clashesOf(next.Service)
	for ip := range next.clashes {
		if before[ip] {
			continue
		}
		if loser := e.addresses.pool.Register(ip); loser != (mesh.Name{}) {
			evicted = append(evicted, loser)
		}
	}
	for ip := range before {
		if !next.clashes[ip] {
			e.addresses.pool.Deregister(ip)
			e.addresses.capacityFreed = true
		}
	}
	return evicted
}

// clashesOf returns the addresses of a service's instances that lie within the ranges of virtual addresses: their own, and
// the virtual addresses of the registry's own mesh.
func (e *Engine) clashesOf(service catalog.Service) (clashes map[netip.Addr]bool) {
	add := func(address string) {
		ip, err := netip.ParseAddr(address)
		if ip = ip.Unmap(); err != nil || !e.options.Addresses.Contains(ip) {
			return
		}
		if clashes == nil {
			clashes = map[netip.Addr]bool{}
		}
		clashes[ip] = true
	}
	for _, instance := range service.Instances {
		add(instance.Address)
		for _, address := range instance.Virtual {
			add(address)
		}
	}
	return clashes
}

// reassign translates the services of the names again, of which the addresses or the form may change. It returns the
// services whose objects changed. The caller holds Engine.mu.
func (e *Engine) reassign(affected []mesh.Name, observed time.Time) (changed []mesh.Name) {
	for _, name := range affected {
		if known, ok := e.services[e.byName[name].owner]; ok {
			changed = append(changed, e.translate(known.Service, observed)...)
		}
	}
	return changed
}

// freezeAddresses fixes the addresses of a source's services, or of its group's, once none of its sources is pending: new
// services no longer evict them. The caller holds Engine.mu.
func (e *Engine) freezeAddresses(source string) {
	name := source
	if group := e.merger.groups[source]; group != "" {
		name = group
	}
	if len(e.pendingSources(name)) == 0 {
		e.addresses.pool.Freeze(name, e.now())
	}
}

// excludeForeign excludes the addresses of objects of others from the virtual addresses.
func (e *Engine) excludeForeign(foreign []netip.Prefix) {
	before := e.addresses.foreign
	e.addresses.foreign = foreign
	e.metrics.excluded.Set(float64(len(foreign)))
	for _, covering := range e.addresses.pool.Exclude(foreign) {
		if !slices.Contains(before, covering) {
			e.log.Warn("foreign object uses a whole range of virtual addresses, it can't be excluded", "addresses", covering,
				"hint", "choose another range in virtualAddresses")
		}
	}
	switch {
	case len(before) == 0 && len(foreign) > 0:
		e.log.Warn("foreign objects use virtual addresses of the range, excluding them", "count", len(foreign), "address", foreign[0])
	case len(foreign) == 0 && len(before) > 0:
		e.log.Info("no foreign objects use the virtual address range anymore")
	}
	e.addresses.capacityFreed = e.addresses.capacityFreed || len(before) > 0
}

// adoptAddresses takes over the addresses that the leader assigned. An address that another service still has here is
// deferred and tried again after each adoption. It returns the services whose addresses changed.
func (e *Engine) adoptAddresses(assigned map[mesh.Name][]netip.Addr) (changed []mesh.Name) {
	if len(assigned) == 0 {
		return nil
	}
	deferred := e.addresses.deferred
	maps.Copy(deferred, assigned)
	for progress := true; progress; {
		progress = false
		for _, name := range slices.SortedFunc(maps.Keys(deferred), mesh.Name.Compare) {
			addresses := deferred[name]
			evicted, adopted := e.addresses.pool.Adopt(name, addresses)
			if adopted {
				delete(deferred, name)
				progress = true
			}
			objects := e.Desired(name).Objects
			if len(objects) == 0 { // not known here yet, or gone
				e.addresses.pool.Release(name, e.now())
			}
			if changed = append(changed, evicted...); !slices.Equal(mesh.AddressesOf(objects), addresses) {
				changed = append(changed, name)
			}
		}
	}
	return changed
}

// expireAddresses returns the addresses of services that left long ago to the pool, and assigns free addresses to services
// without one. It returns the time of the next expiry.
func (e *Engine) expireAddresses(now time.Time) (next time.Time) {
	expired := map[mesh.Name][]netip.Addr{}
	for _, name := range e.addresses.pool.Expire(now) {
		expired[name] = nil
	}
	if len(expired) > 0 {
		e.options.Store.Save(contract.Change{Addresses: expired})
		e.log.Debug("virtual addresses returned to the pool", "services", len(expired))
		e.addresses.capacityFreed = true
	}
	if e.addresses.capacityFreed {
		e.addresses.capacityFreed = false
		e.assignMissing(now)
	}
	return e.addresses.pool.Due()
}

// assignMissing assigns free addresses to the services that have none.
func (e *Engine) assignMissing(now time.Time) {
	lacksAddress := func(f mesh.Finding) bool { return f.Reason == mesh.NoVirtualAddress }
	for _, key := range slices.SortedFunc(maps.Keys(e.services), catalog.Key.Compare) {
		if slices.ContainsFunc(e.services[key].findings, lacksAddress) {
			e.retranslate(key, now)
		}
	}
}
