package bridge

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// News is what became of hosts and virtual addresses in the mesh by somebody else's doing.
type News struct {
	// Others returns all addresses that somebody else's objects have now, where they changed; nil where they didn't. No
	// service is given one of them.
	Others func() []netip.Prefix
	// Lost are addresses that are somebody else's though a service was given them: it takes others.
	Lost map[mesh.Name][]netip.Addr
	// Given are the addresses that services have in the mesh, as another replica gave them.
	Given map[mesh.Name][]netip.Addr
	// Left are the hosts of services that are left to somebody else's objects; none for a service that has all of its own.
	Left map[mesh.Name][]string
}

// Heed implements Listener.
func (b *Bridge) Heed(news News) (taken <-chan struct{}) { return b.inbox.heed(news) }

// add puts what came later over what came before.
func (n *News) add(later News) {
	if later.Others != nil {
		n.Others = later.Others
	}
	addAll(&n.Lost, later.Lost)
	addAll(&n.Given, later.Given)
	addAll(&n.Left, later.Left)
}

func addAll[V any](all *map[mesh.Name]V, more map[mesh.Name]V) {
	if *all == nil && len(more) > 0 {
		*all = map[mesh.Name]V{}
	}
	maps.Copy(*all, more)
}

// takeNews brings the hosts and the virtual addresses in step with the mesh.
func (b *Bridge) takeNews(news News) {
	b.leave(news.Left)
	if news.Others != nil {
		b.avoid(news.Others())
	}
	var moved []mesh.Name
	for _, name := range slices.SortedFunc(maps.Keys(news.Lost), mesh.Name.Compare) {
		for _, address := range news.Lost[name] {
			if b.addresses.Evict(name, address) {
				moved = append(moved, name)
			}
		}
	}
	b.readdress(append(moved, b.adopt(news.Given)...))
}

// leave takes which hosts are left to others.
func (b *Bridge) leave(left map[mesh.Name][]string) {
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
func (b *Bridge) avoid(others []netip.Prefix) {
	before := b.avoided
	b.avoided = others
	b.metrics.avoided.Set(float64(len(others)))
	for _, whole := range b.addresses.Avoid(others) {
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
func (b *Bridge) adopt(given map[mesh.Name][]netip.Addr) (moved []mesh.Name) {
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
func (b *Bridge) readdress(names []mesh.Name) {
	for _, name := range names {
		b.mu.Lock()
		changed := b.moveAway([]mesh.Name{name}, b.now())
		b.mu.Unlock()
		b.notify(changed)
	}
}
