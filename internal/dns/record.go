package dns

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

func (a *answer) header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: seconds(a.options.TTL)}
}

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// appendAddress appends the record of an address, if it is of the type.
func (a *answer) appendAddress(records []dns.RR, name string, ip netip.Addr, kind uint16) []dns.RR {
	switch {
	case kind == dns.TypeA && ip.Is4():
		return append(records, &dns.A{Hdr: a.header(name, kind), A: ip.AsSlice()})
	case kind == dns.TypeAAAA && ip.Is6():
		return append(records, &dns.AAAA{Hdr: a.header(name, kind), AAAA: ip.AsSlice()})
	default:
		return records
	}
}

// appendSRV adds a record as Consul does: all of one priority.
func (a *answer) appendSRV(target string, port, weight uint16) {
	a.records = append(a.records, &dns.SRV{
		Hdr: a.header(a.question.Name, dns.TypeSRV), Priority: 1, Weight: weight, Port: port, Target: target,
	})
}

// appendExtra saves who asked the question for a target's address.
func (a *answer) appendExtra(name string, ip netip.Addr) {
	a.extra = a.appendAddress(a.extra, name, ip, dns.TypeA)
	a.extra = a.appendAddress(a.extra, name, ip, dns.TypeAAAA)
}

// soa says how long it may be kept that there is no such name or record (RFC 2308).
func (a *answer) soa() dns.RR {
	apex := a.zone.apex
	if !a.inZone {
		apex = a.name // a host outside the domains, where nothing above it is ours
	}
	header := a.header(apex, dns.TypeSOA)
	header.Ttl = seconds(a.options.NegativeTTL)
	return &dns.SOA{
		Hdr: header, Ns: "ns." + apex, Mbox: "hostmaster." + apex, Serial: a.serial.Load(),
		Refresh: 3600, Retry: 600, Expire: 86400, Minttl: seconds(a.options.NegativeTTL),
	}
}
