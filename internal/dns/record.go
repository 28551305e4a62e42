package dns

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// header returns the header of a record.
func (r *resolution) header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: seconds(r.options.TTL)}
}

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// appendAddress appends the record of an address if the address has the type.
func (r *resolution) appendAddress(records []dns.RR, name string, ip netip.Addr, kind uint16) []dns.RR {
	switch {
	case kind == dns.TypeA && ip.Is4():
		return append(records, &dns.A{Hdr: r.header(name, kind), A: ip.AsSlice()})
	case kind == dns.TypeAAAA && ip.Is6():
		return append(records, &dns.AAAA{Hdr: r.header(name, kind), AAAA: ip.AsSlice()})
	default:
		return records
	}
}

// appendSRV appends an SRV record. All records have the same priority, as in Consul's answers.
func (r *resolution) appendSRV(target string, port, weight uint16) {
	r.records = append(r.records, &dns.SRV{
		Hdr: r.header(r.question.Name, dns.TypeSRV), Priority: 1, Weight: weight, Port: port, Target: target,
	})
}

// appendExtra adds the address of a target to the additional section, which saves the client a query.
func (r *resolution) appendExtra(name string, ip netip.Addr) {
	r.extra = r.appendAddress(r.extra, name, ip, dns.TypeA)
	r.extra = r.appendAddress(r.extra, name, ip, dns.TypeAAAA)
}

// soa returns the SOA record of a negative answer. Its TTL is how long the answer may be cached (RFC 2308).
func (r *resolution) soa() dns.RR {
	apex := r.zone.apex
	if !r.inZone {
		apex = r.name // a host outside the zones: the server is not authoritative for the names above
	}
	header := r.header(apex, dns.TypeSOA)
	header.Ttl = seconds(r.options.NegativeTTL)
	return &dns.SOA{
		Hdr: header, Ns: "ns." + apex, Mbox: "hostmaster." + apex, Serial: r.serial.Load(),
		Refresh: 3600, Retry: 600, Expire: 86400, Minttl: seconds(r.options.NegativeTTL),
	}
}
