package dns

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// resolution resolves one question from the table.
type resolution struct {
	*Server
	question dns.Question
	// name is the name of the question in lower case.
	name string
	// zone is the zone of the name.
	zone zone
	// inZone is false if no zone contains the name.
	inZone  bool
	overUDP bool

	// records is the answer section.
	records []dns.RR
	// extra is the additional section.
	extra []dns.RR
}

// resolve finds the records. It reports whether the name exists; an existing name may have no records of the type.
func (r *resolution) resolve() bool {
	name, port := cutPort(r.name, r.zone)
	host := name
	found := r.table.find(host)
	if found == nil {
		host = srvHost(name)
		found = r.table.find(host)
	}
	if found != nil && found.hasPort(port) {
		r.resolveService(found, host, port, host == name)
		return true
	}
	if ip, datacenter, ok := parseAddressName(r.name, r.zone); ok && (datacenter == "" || r.table.hasDatacenter(datacenter)) {
		r.records = r.appendAddress(r.records, r.question.Name, ip, r.question.Qtype)
		return true
	}
	if ip, ok := parseReverse(r.name); ok && r.options.Addresses.Contains(ip) {
		return r.resolveReverse(ip)
	}
	if r.name == r.zone.apex && r.inZone && r.question.Qtype == dns.TypeSOA {
		r.records = append(r.records, r.soa())
	}
	return r.inZone && (name == r.zone.apex || r.hasNamesBelow(name))
}

// hasNamesBelow reports whether names exist below a name. A denial of the name would deny these names as well (RFC 8020).
func (r *resolution) hasNamesBelow(name string) bool {
	if r.table.exists(strings.TrimPrefix(name, "_tcp.")) {
		return true
	}
	rest, _ := strings.CutSuffix(name, "."+r.zone.apex)
	return r.zone.ofConsul && (rest == "addr" || rest == "port" || r.table.hasDatacenter(strings.TrimPrefix(rest, "addr.")))
}

// resolveService resolves a host of a service. isHost is true if the name is the host, and false for the name of an SRV
// record. The port is the name of one of the service's ports, or empty.
func (r *resolution) resolveService(found *service, host, port string, isHost bool) {
	switch r.question.Qtype {
	case dns.TypeA, dns.TypeAAAA:
		if isHost {
			r.resolveAddresses(found)
		}
	case dns.TypeSRV:
		r.resolveSRV(found, host, port)
	case dns.TypeANY: // RFC 8482, 4.2
		r.records = append(r.records, &dns.HINFO{Hdr: r.header(r.question.Name, dns.TypeHINFO), Cpu: "RFC8482"})
	}
}

func (r *resolution) resolveAddresses(found *service) {
	if !r.options.Instances {
		for _, ip := range found.virtual {
			r.records = r.appendAddress(r.records, r.question.Name, ip, r.question.Qtype)
		}
		return
	}
	seen, target := map[netip.Addr]bool{}, ""
	for _, i := range shuffled(found.instances) {
		if r.isFull() {
			break
		}
		if i.name != "" {
			target = i.name
		} else if !seen[i.ip] {
			seen[i.ip] = true
			r.records = r.appendAddress(r.records, r.question.Name, i.ip, r.question.Qtype)
		}
	}
	if len(seen) == 0 && target != "" { // a name with a CNAME record has no other record (RFC 1034, 3.6.2)
		r.records = []dns.RR{&dns.CNAME{Hdr: r.header(r.question.Name, dns.TypeCNAME), Target: target}}
	}
}

func (r *resolution) resolveSRV(found *service, host, port string) {
	if !r.options.Instances {
		if len(found.virtual) == 0 {
			return
		}
		r.appendSRV(host, found.ports[port], 1)
		for _, ip := range found.virtual {
			r.appendExtra(host, ip)
		}
		return
	}
	domain := r.zone.apex
	if !r.zone.ofConsul {
		domain = dns.CanonicalName(r.options.Domains[0])
	}
	for _, i := range shuffled(found.instances) {
		if r.isFull() {
			break
		}
		if i.name != "" {
			r.appendSRV(i.name, i.portOf(port), i.weight)
			continue
		}
		target := addressName(i.ip, found.datacenter, domain)
		r.appendSRV(target, i.portOf(port), i.weight)
		r.appendExtra(target, i.ip)
	}
}

// isFull reports whether there are more records than an answer can have, so that no more are needed.
func (r *resolution) isFull() bool { return r.overUDP && len(r.records) >= maxUDPRecords }

// shuffled returns the instances in random order, because many callers use the first one only.
func shuffled(all []instance) []instance {
	all = slices.Clone(all)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// resolveReverse resolves the reverse name of a virtual address. It reports whether a service has the address.
func (r *resolution) resolveReverse(ip netip.Addr) bool {
	r.zone.apex = r.name // the server is not authoritative for the names above
	r.inZone = true
	host := r.table.hostAt(ip)
	if host != "" && r.question.Qtype == dns.TypePTR {
		r.records = append(r.records, &dns.PTR{Hdr: r.header(r.question.Name, dns.TypePTR), Ptr: host})
	}
	return host != ""
}
