package dns

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxUDP is the longest answer by UDP that no network cuts up (dnsflagday.net/2020), in bytes.
	maxUDP = 1232
	// maxUDPRecords is more than fit into it, at 16 bytes each: such an answer is cut and marked as that.
	maxUDPRecords = 100
)

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	_, overUDP := w.RemoteAddr().(*net.UDPAddr)
	began := time.Now()
	reply := s.reply(query, overUDP)
	s.options.Metrics.answered(query, reply, time.Since(began))
	_ = w.WriteMsg(reply) // who asked has gone
}

// reply answers a query with what fits the way that it came.
func (s *Server) reply(query *dns.Msg, overUDP bool) *dns.Msg {
	reply := s.answer(query, overUDP)
	reply.Compress = true
	size := dns.MaxMsgSize
	edns := query.IsEdns0()
	if overUDP {
		size = dns.MinMsgSize
		if edns != nil {
			size = min(max(int(edns.UDPSize()), dns.MinMsgSize), maxUDP)
		}
	}
	if edns != nil && reply.IsEdns0() == nil {
		reply.SetEdns0(maxUDP, false)
		if edns.Version() != 0 {
			reply.Answer, reply.Ns, reply.Extra = nil, nil, reply.Extra[len(reply.Extra)-1:]
			reply.Rcode = dns.RcodeBadVers // RFC 6891, 6.1.3
		}
	}
	reply.Truncate(size)
	return reply
}

func (s *Server) answer(query *dns.Msg, overUDP bool) *dns.Msg {
	switch {
	case query.Opcode != dns.OpcodeQuery:
		return refusal(query, dns.RcodeNotImplemented)
	case len(query.Question) != 1:
		return refusal(query, dns.RcodeFormatError)
	}
	question := query.Question[0]
	switch {
	case question.Qclass != dns.ClassINET, question.Qtype == dns.TypeAXFR, question.Qtype == dns.TypeIXFR:
		return refusal(query, dns.RcodeRefused)
	}
	complete := s.complete.Load() // before the table is read, which is whole from then on
	a := answer{Server: s, question: question, name: dns.CanonicalName(question.Name), overUDP: overUDP}
	a.zone, a.inZone = s.zoneOf(a.name)
	reply := new(dns.Msg).SetReply(query)
	reply.Authoritative = true
	if a.known() {
		reply.Answer, reply.Extra = a.records, a.extra
		if len(reply.Answer) == 0 {
			reply.Ns = []dns.RR{a.soa()}
		}
		return reply
	}
	switch {
	case !complete: // what is known says what is there, not what isn't
		return refusal(query, dns.RcodeServerFailure)
	case !a.inZone:
		return refusal(query, dns.RcodeRefused)
	}
	if servers := s.forward.servers(a.name, a.zone); len(servers) > 0 {
		return s.forward.ask(servers, query, overUDP)
	}
	reply.Rcode, reply.Ns = dns.RcodeNameError, []dns.RR{a.soa()}
	return reply
}

func refusal(query *dns.Msg, rcode int) *dns.Msg {
	return new(dns.Msg).SetRcode(query, rcode)
}

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
	if found := a.table.find(a.name); found != nil {
		a.ofService(found, a.name)
		return true
	}
	if host, ok := srvHost(a.name); ok {
		if found := a.table.find(host); found != nil {
			a.ofService(found, host)
			return true
		}
	}
	if ip, ok := parseAddressName(a.name, a.zone); ok {
		a.ofAddress(ip)
		return true
	}
	if ip, ok := parseReverse(a.name); ok && a.options.Addresses.Contains(ip) {
		return a.ofReverse(ip)
	}
	if a.name == a.zone.apex && a.inZone && a.question.Qtype == dns.TypeSOA {
		a.records = append(a.records, a.soa())
	}
	return a.inZone && (a.name == a.zone.apex || a.table.exists(a.name))
}

func (a *answer) ofService(found *service, host string) {
	switch plain := host == a.name; a.question.Qtype {
	case dns.TypeA, dns.TypeAAAA:
		if plain {
			a.addresses(found)
		}
	case dns.TypeSRV:
		a.srv(found, host)
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

func (a *answer) srv(found *service, host string) {
	if !a.options.Instances {
		if len(found.virtual) == 0 {
			return
		}
		a.appendSRV(host, found.port, 1)
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
			a.appendSRV(i.name, i.port, i.weight)
			continue
		}
		target := addressName(i.ip, strings.ToLower(found.datacenter), domain)
		a.appendSRV(target, i.port, i.weight)
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
