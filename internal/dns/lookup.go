package dns

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// answer is what is known of one question.
type answer struct {
	*Server
	question dns.Question
	// name is what is asked for, in lower case.
	name    string
	zone    zone
	inZone  bool
	overUDP bool

	records, extra []dns.RR
}

// known finds the records; false where there is no such name. A name that is there may have none of the type.
func (a *answer) known() bool {
	name, port := cutPort(a.name, a.zone)
	host := name
	found := a.table.find(host)
	if found == nil {
		host = srvHost(name)
		found = a.table.find(host)
	}
	if found != nil && found.hasPort(port) {
		a.ofService(found, host, port, host == name)
		return true
	}
	if ip, datacenter, ok := parseAddressName(a.name, a.zone); ok && (datacenter == "" || a.table.hasDatacenter(datacenter)) {
		a.ofAddress(ip)
		return true
	}
	if ip, ok := parseReverse(a.name); ok && a.options.Addresses.Contains(ip) {
		return a.ofReverse(ip)
	}
	if a.name == a.zone.apex && a.inZone && a.question.Qtype == dns.TypeSOA {
		a.records = append(a.records, a.soa())
	}
	return a.inZone && (name == a.zone.apex || a.isAbove(name))
}

// isAbove tells whether there are names below this one: to deny it would deny them, too (RFC 8020).
func (a *answer) isAbove(name string) bool {
	if a.table.exists(strings.TrimPrefix(name, "_tcp.")) {
		return true
	}
	rest, _ := strings.CutSuffix(name, "."+a.zone.apex)
	return a.zone.ofConsul && (rest == "addr" || rest == "port" || a.table.hasDatacenter(strings.TrimPrefix(rest, "addr.")))
}

// ofService answers for a service's host; plain says that the name is the host itself, port names one of its ports.
func (a *answer) ofService(found *service, host, port string, plain bool) {
	switch a.question.Qtype {
	case dns.TypeA, dns.TypeAAAA:
		if plain {
			a.addresses(found)
		}
	case dns.TypeSRV:
		a.srv(found, host, port)
	case dns.TypeANY: // RFC 8482, 4.2
		a.records = append(a.records, &dns.HINFO{Hdr: a.header(a.question.Name, dns.TypeHINFO), Cpu: "RFC8482"})
	}
}

func (a *answer) addresses(found *service) {
	if !a.options.Instances {
		for _, ip := range found.virtual {
			a.records = a.appendAddress(a.records, a.question.Name, ip, a.question.Qtype)
		}
		return
	}
	seen, other := map[netip.Addr]bool{}, ""
	for _, i := range shuffled(found.instances) {
		if a.isFull() {
			break
		}
		if i.name != "" {
			other = i.name
		} else if !seen[i.ip] {
			seen[i.ip] = true
			a.records = a.appendAddress(a.records, a.question.Name, i.ip, a.question.Qtype)
		}
	}
	if len(seen) == 0 && other != "" { // a name has one CNAME and nothing else (RFC 1034, 3.6.2)
		a.records = []dns.RR{&dns.CNAME{Hdr: a.header(a.question.Name, dns.TypeCNAME), Target: other}}
	}
}

func (a *answer) srv(found *service, host, port string) {
	if !a.options.Instances {
		if len(found.virtual) == 0 {
			return
		}
		a.appendSRV(host, found.ports[port], 1)
		for _, ip := range found.virtual {
			a.appendExtra(host, ip)
		}
		return
	}
	domain := a.zone.apex
	if !a.zone.ofConsul {
		domain = dns.CanonicalName(a.options.Domains[0])
	}
	for _, i := range shuffled(found.instances) {
		if a.isFull() {
			break
		}
		if i.name != "" {
			a.appendSRV(i.name, i.portOf(port), i.weight)
			continue
		}
		target := addressName(i.ip, found.datacenter, domain)
		a.appendSRV(target, i.portOf(port), i.weight)
		a.appendExtra(target, i.ip)
	}
}

// isFull tells whether there are more records than can be answered: the rest need not be made.
func (a *answer) isFull() bool { return a.overUDP && len(a.records) >= maxUDPRecords }

// shuffled returns instances in random order, so that no caller's first choice is everybody's.
func shuffled(all []instance) []instance {
	all = slices.Clone(all)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func (a *answer) ofAddress(ip netip.Addr) {
	a.records = a.appendAddress(a.records, a.question.Name, ip, a.question.Qtype)
}

func (a *answer) ofReverse(ip netip.Addr) bool {
	a.zone.apex = a.name // nothing above it is ours
	a.inZone = true
	host := a.table.hostAt(ip)
	if host != "" && a.question.Qtype == dns.TypePTR {
		a.records = append(a.records, &dns.PTR{Hdr: a.header(a.question.Name, dns.TypePTR), Ptr: host})
	}
	return host != ""
}
