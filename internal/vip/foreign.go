package vip

import (
	"net/netip"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Exclude replaces the set of addresses that objects of other owners have; no service is given one of them from now on. A
// service that has one keeps it until Evict. Exclude returns the prefixes that cover a whole range and so cannot be excluded.
func (p *Pool) Exclude(prefixes []netip.Prefix) (covering []netip.Prefix) {
	for _, s := range p.ranges {
		s.excluded, s.excludedBlocks = map[uint64]bool{}, nil
	}
	for _, prefix := range prefixes {
		for _, s := range p.ranges {
			switch at, ok := s.slot(prefix.Addr()); {
			case !s.prefix.Overlaps(prefix):
			case prefix.IsSingleIP() && ok:
				s.excluded[at] = true
			case prefix.Bits() <= s.prefix.Bits():
				covering = append(covering, prefix)
			default:
				s.excludedBlocks = append(s.excludedBlocks, prefix)
			}
		}
	}
	return covering
}

// Evict takes an excluded address away from a service, which must call Take again. It reports whether the service had it.
func (p *Pool) Evict(name mesh.Name, address netip.Addr) bool {
	for _, s := range p.ranges {
		at, has := s.slots[name]
		if has && s.address(at) == address && s.excluded[at] {
			s.free(name)
			return true
		}
	}
	return false
}

// Register excludes an address that an instance of a registry has. It returns the service that had the address, unless
// that service is frozen; the returned service must call Take again.
func (p *Pool) Register(address netip.Addr) (displaced mesh.Name) {
	for _, s := range p.ranges {
		at, ok := s.slot(address)
		if !ok || !s.prefix.Contains(address) {
			continue
		}
		s.registered[at]++
		if owner, taken := s.owners[at]; taken && !owner.frozen {
			s.free(owner.name)
			displaced = owner.name
		}
	}
	return displaced
}

// Deregister reverts one call of Register.
func (p *Pool) Deregister(address netip.Addr) {
	for _, s := range p.ranges {
		if at, ok := s.slot(address); ok && s.prefix.Contains(address) {
			if s.registered[at]--; s.registered[at] <= 0 {
				delete(s.registered, at)
			}
		}
	}
}

// Adopt allocates the addresses that another replica gave to a service. A service that has one of them on this replica
// only is displaced and must call Take again. Adopt refuses an address that another service has in the mesh.
func (p *Pool) Adopt(name mesh.Name, addresses []netip.Addr) (displaced []mesh.Name, adopted bool) {
	adopted = true
	for _, address := range addresses {
		for _, s := range p.ranges {
			if !s.prefix.Contains(address) {
				continue
			}
			loser, ok := s.adopt(name, address)
			if adopted = adopted && ok; loser != (mesh.Name{}) {
				displaced = append(displaced, loser)
			}
		}
	}
	return displaced, adopted
}

// adopt allocates an address to a service. It returns the service that lost it, and whether the address was adopted.
func (s *addressRange) adopt(name mesh.Name, address netip.Addr) (displaced mesh.Name, adopted bool) {
	at, ok := s.slot(address)
	if !ok {
		return mesh.Name{}, true // an address that is never allocated
	}
	other, taken := s.owners[at]
	switch {
	case taken && other.name == name:
	case taken && other.live:
		return mesh.Name{}, false
	case taken:
		s.free(other.name)
		displaced = other.name
	}
	s.free(name)
	s.owners[at], s.slots[name] = owner{name: name, frozen: true, live: true}, at
	return displaced, true
}

// avoids reports whether an address is excluded or registered by an instance.
func (s *addressRange) avoids(at uint64) bool {
	if s.excluded[at] || s.registered[at] > 0 {
		return true
	}
	for _, block := range s.excludedBlocks {
		if block.Contains(s.address(at)) {
			return true
		}
	}
	return false
}
