// Package address gives each service of the mesh a virtual address of its own.
//
// An address is looked for along a way through the range that the service's name alone decides, so that replicas that
// share nothing come to the same. Who has one keeps it: a newcomer goes further along its own way.
package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// ErrFull says that a range has no address left.
var ErrFull = errors.New("the range of virtual addresses is full")

// Options say what a Pool gives.
type Options struct {
	// IPv4 and IPv6 are the ranges; the zero Prefix where there are none of that kind.
	IPv4, IPv6 netip.Prefix
	// Keep is how long the address of a service that left is given to no other.
	Keep time.Duration
}

// Enabled tells whether there is any range.
func (o Options) Enabled() bool { return o.IPv4.IsValid() || o.IPv6.IsValid() }

// Contains tells whether an address is within the ranges.
func (o Options) Contains(address netip.Addr) bool {
	return o.IPv4.Contains(address) || o.IPv6.Contains(address)
}

// istiods are the ranges of which istiod gives addresses to ServiceEntries that have none (PILOT_IP_AUTOALLOCATE_*).
var istiods = []netip.Prefix{netip.MustParsePrefix("240.240.0.0/16"), netip.MustParsePrefix("2001:2::/48")}

// Istiods returns the ranges of istiod's own that these overlap.
func (o Options) Istiods() (overlapped []netip.Prefix) {
	for _, prefix := range istiods {
		if o.IPv4.Overlaps(prefix) || o.IPv6.Overlaps(prefix) {
			overlapped = append(overlapped, prefix)
		}
	}
	return overlapped
}

// CheckRange tells what is wrong with a range.
func CheckRange(prefix netip.Prefix) error {
	switch {
	case prefix != prefix.Masked():
		return fmt.Errorf("%s is not where a range begins; %s is", prefix, prefix.Masked())
	case prefix.Addr().BitLen()-prefix.Bits() < minBits:
		return fmt.Errorf("%s is too small: a range has at least %d addresses", prefix, 1<<minBits)
	case prefix.Overlaps(netip.MustParsePrefix("127.0.0.0/8")), prefix.Overlaps(netip.MustParsePrefix("224.0.0.0/4")),
		prefix.Overlaps(netip.MustParsePrefix("0.0.0.0/8")), prefix.Overlaps(netip.MustParsePrefix("169.254.0.0/16")),
		prefix.Overlaps(netip.MustParsePrefix("ff00::/8")), prefix.Overlaps(netip.MustParsePrefix("fe80::/10")),
		prefix.Overlaps(netip.MustParsePrefix("::/96")), prefix.Overlaps(netip.MustParsePrefix("::ffff:0:0/96")):
		return fmt.Errorf("%s has addresses that mean something else to every host: loopback, link-local, multicast or IPv4 in IPv6", prefix)
	}
	return nil
}

// Pool knows who has which address. It is used by one goroutine at a time. Make one with New.
type Pool struct {
	options Options
	ranges  []*space
	// settled are the sources whose services keep what they have, whoever comes.
	settled map[string]bool
	// recalled had addresses in an earlier run, and were not seen in this one.
	recalled map[mesh.Name]bool
	// left holds when the services left that are gone.
	left map[mesh.Name]time.Time
	// due is when the next of them may be forgotten.
	due time.Time
}

// New makes a pool that has given nothing yet.
func New(options Options) *Pool {
	p := &Pool{options: options, settled: map[string]bool{}, recalled: map[mesh.Name]bool{}, left: map[mesh.Name]time.Time{}}
	for _, prefix := range []netip.Prefix{options.IPv4, options.IPv6} {
		if prefix.IsValid() {
			p.ranges = append(p.ranges, newSpace(prefix))
		}
	}
	return p
}

// Restore says which addresses a service had. They are its own, as far as they are within the ranges and no other
// service has them; it returns those that another has.
func (p *Pool) Restore(name mesh.Name, addresses []netip.Addr) (clashes []netip.Addr) {
	for _, address := range addresses {
		for _, s := range p.ranges {
			if s.prefix.Contains(address) && !s.recall(name, address) {
				clashes = append(clashes, address)
			}
		}
	}
	p.recalled[name] = true
	return clashes
}

// Freeze says that the whole content of a source is known: what was recalled and isn't seen has left. From then on its services keep their addresses; before, of
// two that want the same one the first by name has it, so that the outcome depends on no order.
func (p *Pool) Freeze(source string, now time.Time) {
	if p.settled[source] {
		return
	}
	p.settled[source] = true
	for name := range p.recalled {
		if name.Source == source {
			delete(p.recalled, name)
			p.Release(name, now)
		}
	}
	for _, s := range p.ranges {
		for at, owner := range s.owners {
			if owner.name.Source == source {
				owner.settled = true
				s.owners[at] = owner
			}
		}
	}
}

// Take returns the addresses of a service, one of each range, and the services that lost theirs to it, which must take
// another. It fails with ErrFull where a range has none; those of the other range are returned all the same.
func (p *Pool) Take(name mesh.Name) (addresses []netip.Addr, displaced []mesh.Name, err error) {
	delete(p.left, name)
	delete(p.recalled, name)
	for _, s := range p.ranges {
		address, loser, found := s.take(name, p.settled[name.Source])
		if !found {
			err = fmt.Errorf("%w: %s", ErrFull, s.prefix)
			continue
		}
		addresses = append(addresses, address)
		if loser != (mesh.Name{}) {
			displaced = append(displaced, loser)
		}
	}
	return addresses, displaced, err
}

// Release says that a service left. Its addresses stay its own for as long as Options.Keep says.
func (p *Pool) Release(name mesh.Name, now time.Time) {
	for _, s := range p.ranges {
		if _, has := s.slots[name]; has {
			p.left[name] = now
			if due := now.Add(p.options.Keep); p.due.IsZero() || due.Before(p.due) {
				p.due = due
			}
		}
	}
}

// Expire forgets the services that left longer ago than Options.Keep, and returns them.
func (p *Pool) Expire(now time.Time) (gone []mesh.Name) {
	if p.due.IsZero() || now.Before(p.due) {
		return nil
	}
	p.due = time.Time{}
	for name, left := range p.left {
		due := left.Add(p.options.Keep)
		if now.Before(due) {
			if p.due.IsZero() || due.Before(p.due) {
				p.due = due
			}
			continue
		}
		gone = append(gone, name)
		delete(p.left, name)
		for _, s := range p.ranges {
			s.free(name)
		}
	}
	return gone
}

// Due returns when Expire may have something to forget; the zero time where nothing waits for it.
func (p *Pool) Due() time.Time { return p.due }

// Sizes returns how many addresses are taken of each range.
func (p *Pool) Sizes() map[netip.Prefix]int {
	sizes := map[netip.Prefix]int{}
	for _, s := range p.ranges {
		sizes[s.prefix] = len(s.owners)
	}
	return sizes
}
