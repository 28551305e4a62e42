package engine

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// ReportConflicts implements Listener.
func (b *Engine) ReportConflicts(news contract.Conflicts) (taken <-chan struct{}) {
	return b.inbox.heed(news)
}

// takeNews brings the hosts and the virtual addresses in step with the mesh.
func (b *Engine) takeNews(news contract.Conflicts) {
	b.leave(news.YieldedHosts)
	if news.ForeignAddresses != nil {
		b.avoid(news.ForeignAddresses())
	}
	var moved []mesh.Name
	for _, name := range slices.SortedFunc(maps.Keys(news.LostAddresses), mesh.Name.Compare) {
		for _, address := range news.LostAddresses[name] {
			if b.addresses.Evict(name, address) {
				moved = append(moved, name)
			}
		}
	}
	b.readdress(append(moved, b.adopt(news.LeaderAddresses)...))
}

// leave takes which hosts are left to others.
func (b *Engine) leave(left map[mesh.Name][]string) {
	var changed []mesh.Name
	b.mu.Lock()
	for name, hosts := range left {
		if slices.Equal(b.left[name], hosts) {
			continue
		}
		if b.left[name] = hosts; len(hosts) == 0 {
			delete(b.left, name)
		}
		changed = append(changed, name)
	}
	b.mu.Unlock()
	b.notify(changed)
}

// avoid keeps services from the addresses of others.
func (b *Engine) avoid(others []netip.Prefix) {
	before := b.avoided
	b.avoided = others
	b.metrics.avoided.Set(float64(len(others)))
	for _, whole := range b.addresses.Exclude(others) {
		if !slices.Contains(before, whole) {
			b.log.Warn("somebody else's objects have a whole range of virtual addresses, so that it can't be avoided: choose another in virtualAddresses",
				"addresses", whole)
		}
	}
	switch {
	case len(before) == 0 && len(others) > 0:
		b.log.Warn("somebody else's objects have virtual addresses of the range; no service is given these", "addresses", len(others), "first", others[0])
	case len(others) == 0 && len(before) > 0:
		b.log.Info("no object of anybody else has virtual addresses of the range any more")
	}
	b.freed = b.freed || len(before) > 0
}

// adopt takes over what another replica gave. What a service can't have yet, because another one still has it, is tried
// again with what comes next. It returns who has another address now.
func (b *Engine) adopt(given map[mesh.Name][]netip.Addr) (moved []mesh.Name) {
	if len(given) == 0 {
		return nil
	}
	maps.Copy(b.refused, given)
	for progress := true; progress; {
		progress = false
		for _, name := range slices.SortedFunc(maps.Keys(b.refused), mesh.Name.Compare) {
			addresses := b.refused[name]
			displaced, adopted := b.addresses.Adopt(name, addresses)
			if adopted {
				delete(b.refused, name)
				progress = true
			}
			if len(b.Desired(name).Objects) == 0 { // it isn't known here yet, or has left
				b.addresses.Release(name, b.now())
			}
			if moved = append(moved, displaced...); !slices.Equal(mesh.AddressesOf(b.Desired(name).Objects), addresses) {
				moved = append(moved, name)
			}
		}
	}
	return moved
}

// readdress gives services that lost their addresses, or have others, what they have now.
func (b *Engine) readdress(names []mesh.Name) {
	for _, name := range names {
		b.mu.Lock()
		changed := b.moveAway([]mesh.Name{name}, b.now())
		b.mu.Unlock()
		b.notify(changed)
	}
}
