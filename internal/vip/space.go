package vip

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// minBits is the smallest size of a range, in bits of the host's part.
	minBits = 4
	// maxBits is as much of a range as is used: more would change nothing.
	maxBits = 62
	// maxProbes bounds what one service may cost in a range that is nearly full.
	maxProbes = 1 << 16
)

// owner is who has an address.
type owner struct {
	name mesh.Name
	// settled says that no newcomer can have it, stands that it is known to have it in the mesh.
	settled, stands bool
}

// space is one range and who has what in it. An address is known by its place, counted from the range's beginning.
type space struct {
	prefix netip.Prefix
	// size is the number of places; the first and the last address of the range have none: they are the network's own
	// and its broadcast in the eyes of some hosts.
	size   uint64
	owners map[uint64]owner
	slots  map[mesh.Name]uint64
	// others and blocks are what somebody else has, registered counts the instances that have an address.
	others     map[uint64]bool
	blocks     []netip.Prefix
	registered map[uint64]int
}

func newSpace(prefix netip.Prefix) *space {
	host := min(prefix.Addr().BitLen()-prefix.Bits(), maxBits)
	return &space{
		prefix: prefix, size: 1<<host - 2, owners: map[uint64]owner{}, slots: map[mesh.Name]uint64{}, registered: map[uint64]int{},
	}
}

// recall gives a service the address that it had; false where another has it.
func (s *space) recall(name mesh.Name, address netip.Addr) bool {
	at, ok := s.place(address)
	if !ok {
		return true // no address that is given
	}
	if other, taken := s.owners[at]; taken && other.name != name {
		return false
	}
	s.free(name)
	s.owners[at], s.slots[name] = owner{name: name, settled: true, stands: true}, at
	return true
}

// take returns the address of a service. Along its way it passes what is somebody else's, and what other services have,
// unless neither is settled and it goes before them by name. It returns who lost the address to it, if anybody.
func (s *space) take(name mesh.Name, settled bool) (_ netip.Addr, loser mesh.Name, found bool) {
	if at, has := s.slots[name]; has {
		return s.address(at), mesh.Name{}, true
	}
	at, step := way(name, s.size)
	for range min(s.size, maxProbes) {
		other, taken := s.owners[at]
		if !s.avoids(at) && (!taken || !other.settled && !settled && name.Compare(other.name) < 0) {
			delete(s.slots, other.name)
			s.owners[at], s.slots[name] = owner{name: name, settled: settled}, at
			return s.address(at), other.name, true
		}
		at = (at + step) % s.size
	}
	return netip.Addr{}, mesh.Name{}, false
}

func (s *space) free(name mesh.Name) {
	if at, has := s.slots[name]; has {
		delete(s.owners, at)
		delete(s.slots, name)
	}
}

// way is where a name's way through a range begins, and its step, which leads to every place once.
func way(name mesh.Name, size uint64) (start, step uint64) {
	sum := sha256.Sum256([]byte(name.String()))
	start = binary.BigEndian.Uint64(sum[:8]) % size
	step = binary.BigEndian.Uint64(sum[8:16])%(size-1) + 1
	for gcd(step, size) != 1 {
		step = step%(size-1) + 1
	}
	return start, step
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (s *space) address(at uint64) netip.Addr {
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

// place is the inverse of address.
func (s *space) place(address netip.Addr) (uint64, bool) {
	from, to := s.prefix.Addr().As16(), address.As16()
	low, borrow := bits.Sub64(binary.BigEndian.Uint64(to[8:]), binary.BigEndian.Uint64(from[8:]), 0)
	high, _ := bits.Sub64(binary.BigEndian.Uint64(to[:8]), binary.BigEndian.Uint64(from[:8]), borrow)
	if high != 0 || low == 0 || low > s.size {
		return 0, false
	}
	return low - 1, true
}
