package vip

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// minBits is the smallest size of a range, in host bits.
	minBits = 4
	// maxBits is the number of host bits that are used of a larger range: more addresses would not reduce collisions further.
	maxBits = 62
	// maxProbes bounds the cost of one service in a range that is nearly full.
	maxProbes = 1 << 16
)

// owner is the service that has an address.
type owner struct {
	name mesh.Name
	// frozen is true if no new service can displace the owner.
	frozen bool
	// live is true if the owner is known to have the address in the mesh.
	live bool
}

// addressRange is one range with its allocations. Addresses are numbered; the number of an address is its slot.
type addressRange struct {
	prefix netip.Prefix
	// size is the number of slots. The first and the last address of the range have none, because some hosts take them
	// for the network's own address and its broadcast address.
	size uint64
	// owners holds the service of each allocated slot.
	owners map[uint64]owner
	// slots holds the slot of each service; it is the inverse of owners.
	slots map[mesh.Name]uint64
	// excluded holds the slots that objects of other owners have.
	excluded map[uint64]bool
	// excludedBlocks holds the prefixes that objects of other owners have.
	excludedBlocks []netip.Prefix
	// registered counts the instances that are registered with the address of a slot.
	registered map[uint64]int
}

func newRange(prefix netip.Prefix) *addressRange {
	host := min(prefix.Addr().BitLen()-prefix.Bits(), maxBits)
	return &addressRange{
		prefix: prefix, size: 1<<host - 2, owners: map[uint64]owner{}, slots: map[mesh.Name]uint64{}, registered: map[uint64]int{},
	}
}

// restore allocates the address that a service had. It returns false if another service has the address.
func (s *addressRange) restore(name mesh.Name, address netip.Addr) bool {
	at, ok := s.slot(address)
	if !ok {
		return true // an address that is never allocated
	}
	if other, taken := s.owners[at]; taken && other.name != name {
		return false
	}
	s.free(name)
	s.owners[at], s.slots[name] = owner{name: name, frozen: true, live: true}, at
	return true
}

// take returns the address of a service, and the service that lost that address to it, if any. The package comment has the
// rules.
func (s *addressRange) take(name mesh.Name, frozen bool) (_ netip.Addr, displaced mesh.Name, found bool) {
	if at, has := s.slots[name]; has {
		return s.address(at), mesh.Name{}, true
	}
	at, step := probeSequence(name, s.size)
	for range min(s.size, maxProbes) {
		other, taken := s.owners[at]
		if !s.avoids(at) && (!taken || !other.frozen && !frozen && name.Compare(other.name) < 0) {
			delete(s.slots, other.name)
			s.owners[at], s.slots[name] = owner{name: name, frozen: frozen}, at
			return s.address(at), other.name, true
		}
		at = (at + step) % s.size
	}
	return netip.Addr{}, mesh.Name{}, false
}

// free removes the allocation of a service.
func (s *addressRange) free(name mesh.Name) {
	if at, has := s.slots[name]; has {
		delete(s.owners, at)
		delete(s.slots, name)
	}
}

// probeSequence returns the first slot of a name and the step to the next ones. The sequence visits each slot once.
func probeSequence(name mesh.Name, size uint64) (first, step uint64) {
	sum := sha256.Sum256([]byte(name.String()))
	first = binary.BigEndian.Uint64(sum[:8]) % size
	step = binary.BigEndian.Uint64(sum[8:16])%(size-1) + 1
	for gcd(step, size) != 1 {
		step = step%(size-1) + 1
	}
	return first, step
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// address returns the address of a slot.
func (s *addressRange) address(at uint64) netip.Addr {
	bytes := s.prefix.Addr().As16()
	low := binary.BigEndian.Uint64(bytes[8:])
	low, carry := bits.Add64(low, at+1, 0)
	binary.BigEndian.PutUint64(bytes[8:], low)
	high := binary.BigEndian.Uint64(bytes[:8]) + carry
	binary.BigEndian.PutUint64(bytes[:8], high)
	address := netip.AddrFrom16(bytes)
	if s.prefix.Addr().Is4() {
		return address.Unmap()
	}
	return address
}

// slot returns the slot of an address; it is the inverse of address.
func (s *addressRange) slot(address netip.Addr) (uint64, bool) {
	from, to := s.prefix.Addr().As16(), address.As16()
	low, borrow := bits.Sub64(binary.BigEndian.Uint64(to[8:]), binary.BigEndian.Uint64(from[8:]), 0)
	high, _ := bits.Sub64(binary.BigEndian.Uint64(to[:8]), binary.BigEndian.Uint64(from[:8]), borrow)
	if high != 0 || low == 0 || low > s.size {
		return 0, false
	}
	return low - 1, true
}
