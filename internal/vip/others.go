package vip

import (
	"net/netip"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Exclude says which addresses somebody else has, all of them: from now on no service is given one of these. Who has one
// keeps it until Evict. A block that leaves nothing of a range can't be avoided; it returns such ones.
func (p *Pool) Exclude(others []netip.Prefix) (whole []netip.Prefix) {
	for _, s := range p.ranges {
		s.others, s.blocks = map[uint64]bool{}, nil
	}
	for _, other := range others {
		for _, s := range p.ranges {
			switch at, place := s.place(other.Addr()); {
			case !s.prefix.Overlaps(other):
			case other.IsSingleIP() && place:
				s.others[at] = true
			case other.Bits() <= s.prefix.Bits():
				whole = append(whole, other)
			default:
				s.blocks = append(s.blocks, other)
			}
		}
	}
	return whole
}

// Evict takes an address that is somebody else's away from a service, which must take another. It returns whether the
// service had it.
func (p *Pool) Evict(name mesh.Name, address netip.Addr) bool {
	for _, s := range p.ranges {
		at, has := s.slots[name]
		if has && s.address(at) == address && s.others[at] {
			s.free(name)
			return true
		}
	}
	return false
}

// Register says that an instance of a registry has an address of the ranges, which is therefore given to no service. It
// returns whose it was, if that service isn't settled; it must take another.
func (p *Pool) Register(address netip.Addr) (displaced mesh.Name) {
	for _, s := range p.ranges {
		at, ok := s.place(address)
		if !ok || !s.prefix.Contains(address) {
			continue
		}
		s.registered[at]++
		if owner, taken := s.owners[at]; taken && !owner.settled {
			s.free(owner.name)
			displaced = owner.name
		}
	}
	return displaced
}

// Deregister takes back what Register said, of one instance.
func (p *Pool) Deregister(address netip.Addr) {
	for _, s := range p.ranges {
		if at, ok := s.place(address); ok && s.prefix.Contains(address) {
			if s.registered[at]--; s.registered[at] <= 0 {
				delete(s.registered, at)
			}
		}
	}
}

// Adopt says which addresses a service has in the mesh, as another replica gave them: they are its own here too, and
// who was given one here only must take another. It is refused where another service has one in the mesh.
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

func (s *space) adopt(name mesh.Name, address netip.Addr) (loser mesh.Name, adopted bool) {
	at, ok := s.place(address)
	if !ok {
		return mesh.Name{}, true // no address that is given
	}
	other, taken := s.owners[at]
	switch {
	case taken && other.name == name:
	case taken && other.stands:
		return mesh.Name{}, false
	case taken:
		s.free(other.name)
		loser = other.name
	}
	s.free(name)
	s.owners[at], s.slots[name] = owner{name: name, settled: true, stands: true}, at
	return loser, true
}

// avoids tells whether an address is somebody else's.
func (s *space) avoids(at uint64) bool {
	if s.others[at] || s.registered[at] > 0 {
		return true
	}
	for _, block := range s.blocks {
		if block.Contains(s.address(at)) {
			return true
		}
	}
	return false
}
