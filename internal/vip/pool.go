// Package vip allocates a stable virtual IP address to each service of the mesh.
//
// Each service probes a range in a sequence that depends on the service's name alone, so replicas that share no state
// allocate the same addresses. A service that has an address keeps it; a new service probes further.
//
// Take decides for each address of the sequence, in this order:
//
//	excluded or registered by an instance   probe further
//	free                                    allocate
//	owner or newcomer is frozen             probe further
//	neither is frozen                       the first by name gets the address, the other one must take another
package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// ErrFull reports that a range has no free address.
var ErrFull = errors.New("the range of virtual addresses is full")

// Options configure a Pool.
type Options struct {
	// IPv4 is the IPv4 range; the zero Prefix disables IPv4 addresses.
	IPv4 netip.Prefix
	// IPv6 is the IPv6 range; the zero Prefix disables IPv6 addresses.
	IPv6 netip.Prefix
	// Keep is how long the address of a removed service stays reserved for that service.
	Keep time.Duration
}

// Enabled reports whether at least one range is set.
func (o Options) Enabled() bool { return o.IPv4.IsValid() || o.IPv6.IsValid() }

// Contains reports whether an address is within the ranges.
func (o Options) Contains(address netip.Addr) bool {
	return o.IPv4.Contains(address) || o.IPv6.Contains(address)
}

// istiodRanges are the ranges from which istiod allocates addresses for ServiceEntries without one
// (PILOT_IP_AUTOALLOCATE_*).
var istiodRanges = []netip.Prefix{netip.MustParsePrefix("240.240.0.0/16"), netip.MustParsePrefix("2001:2::/48")}

// IstiodOverlaps returns the ranges of istiod's own allocation that overlap with these.
func (o Options) IstiodOverlaps() (overlapping []netip.Prefix) {
	for _, prefix := range istiodRanges {
		if o.IPv4.Overlaps(prefix) || o.IPv6.Overlaps(prefix) {
			overlapping = append(overlapping, prefix)
		}
	}
	return overlapping
}

// CheckRange returns an error if a prefix cannot be used as a range.
func CheckRange(prefix netip.Prefix) error {
	switch {
	case prefix != prefix.Masked():
		return fmt.Errorf("%s is not the first address of a range; use %s", prefix, prefix.Masked())
	case prefix.Addr().BitLen()-prefix.Bits() < minBits:
		return fmt.Errorf("%s is too small; use a range of at least %d addresses", prefix, 1<<minBits)
	case prefix.Overlaps(netip.MustParsePrefix("127.0.0.0/8")), prefix.Overlaps(netip.MustParsePrefix("224.0.0.0/4")),
		prefix.Overlaps(netip.MustParsePrefix("0.0.0.0/8")), prefix.Overlaps(netip.MustParsePrefix("169.254.0.0/16")),
		prefix.Overlaps(netip.MustParsePrefix("ff00::/8")), prefix.Overlaps(netip.MustParsePrefix("fe80::/10")),
		prefix.Overlaps(netip.MustParsePrefix("::/96")), prefix.Overlaps(netip.MustParsePrefix("::ffff:0:0/96")):
		return fmt.Errorf("%s contains loopback, link-local, multicast or IPv4-in-IPv6 addresses; use another range", prefix)
	}
	return nil
}

// Pool allocates the addresses of its ranges. It is not safe for concurrent use. Create one with New.
type Pool struct {
	options Options
	ranges  []*addressRange
	// frozen holds the sources whose services keep their addresses when services are added.
	frozen map[string]bool
	// restored holds the services that had addresses in an earlier run and are not reported in this one yet.
	restored map[mesh.Name]bool
	// released holds the time at which each removed service was released.
	released map[mesh.Name]time.Time
	// due is the earliest time at which an address of released expires; the zero time if there is none.
	due time.Time
}

// New returns a pool without allocations.
func New(options Options) *Pool {
	p := &Pool{options: options, frozen: map[string]bool{}, restored: map[mesh.Name]bool{}, released: map[mesh.Name]time.Time{}}
	for _, prefix := range []netip.Prefix{options.IPv4, options.IPv6} {
		if prefix.IsValid() {
			p.ranges = append(p.ranges, newRange(prefix))
		}
	}
	return p
}

// Restore allocates the addresses that a service had in an earlier run. It ignores addresses outside the ranges, and
// returns the addresses that another service has.
func (p *Pool) Restore(name mesh.Name, addresses []netip.Addr) (clashes []netip.Addr) {
	for _, address := range addresses {
		for _, s := range p.ranges {
			if s.prefix.Contains(address) && !s.restore(name, address) {
				clashes = append(clashes, address)
			}
		}
	}
	p.restored[name] = true
	return clashes
}

// Freeze fixes the allocations of a source, once its whole content is known. It releases restored services that the
// source did not report. Before Freeze, the first of two services by name gets an address that both want, so the
// outcome does not depend on the order of reports; after it, services keep their addresses.
func (p *Pool) Freeze(source string, now time.Time) {
	if p.frozen[source] {
		return
	}
	p.frozen[source] = true
	for name := range p.restored {
		if name.Source == source {
			delete(p.restored, name)
			p.Release(name, now)
		}
	}
	for _, s := range p.ranges {
		for at, owner := range s.owners {
			if owner.name.Source == source {
				owner.frozen = true
				s.owners[at] = owner
			}
		}
	}
}

// Take returns the addresses of a service, one of each range, and the services that lost theirs to it. The caller must
// call Take again for each displaced service. If a range is full, Take fails with ErrFull, and still returns the address
// of the other range.
func (p *Pool) Take(name mesh.Name) (addresses []netip.Addr, displaced []mesh.Name, err error) {
	delete(p.released, name)
	delete(p.restored, name)
	for _, s := range p.ranges {
		address, loser, found := s.take(name, p.frozen[name.Source])
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

// Release marks a service as removed. Its addresses stay reserved for Options.Keep.
func (p *Pool) Release(name mesh.Name, now time.Time) {
	for _, s := range p.ranges {
		if _, has := s.slots[name]; has {
			p.released[name] = now
			if due := now.Add(p.options.Keep); p.due.IsZero() || due.Before(p.due) {
				p.due = due
			}
		}
	}
}

// Expire frees the addresses of the services that were released longer ago than Options.Keep, and returns these services.
func (p *Pool) Expire(now time.Time) (expired []mesh.Name) {
	if p.due.IsZero() || now.Before(p.due) {
		return nil
	}
	p.due = time.Time{}
	for name, released := range p.released {
		due := released.Add(p.options.Keep)
		if now.Before(due) {
			if p.due.IsZero() || due.Before(p.due) {
				p.due = due
			}
			continue
		}
		expired = append(expired, name)
		delete(p.released, name)
		for _, s := range p.ranges {
			s.free(name)
		}
	}
	return expired
}

// Due returns the time of the next expiry; the zero time if nothing expires.
func (p *Pool) Due() time.Time { return p.due }

// Sizes returns the number of allocated addresses of each range.
func (p *Pool) Sizes() map[netip.Prefix]int {
	sizes := map[netip.Prefix]int{}
	for _, s := range p.ranges {
		sizes[s.prefix] = len(s.owners)
	}
	return sizes
}
