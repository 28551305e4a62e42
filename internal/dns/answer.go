package dns

import (
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	start := time.Now()
	client, overUDP := clientOf(w.RemoteAddr())
	reply := s.reply(query, client, overUDP)
	s.options.Metrics.answered(query, reply, time.Since(start))
	_ = w.WriteMsg(reply) // the client is gone
}

// clientOf returns the address of a client and whether the client uses UDP.
func clientOf(address net.Addr) (client netip.Addr, overUDP bool) {
	switch a := address.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr(), true
	case *net.TCPAddr:
		return a.AddrPort().Addr(), false
	default:
		return netip.Addr{}, false
	}
}

// reply answers a query with a message that fits the protocol of the query.
func (s *Server) reply(query *dns.Msg, client netip.Addr, overUDP bool) *dns.Msg {
	state, cookie := s.cookies.check(query, client)
	var reply *dns.Msg
	switch edns := query.IsEdns0(); {
	case edns != nil && edns.Version() != 0:
		reply = errorReply(query, dns.RcodeBadVers) // RFC 6891, 6.1.3
	case state == malformedCookie:
		reply = errorReply(query, dns.RcodeFormatError) // RFC 7873, 5.2.2
	default:
		reply = s.answer(query, overUDP)
	}
	if query.IsEdns0() != nil {
		reply.SetEdns0(maxUDP, false)
		if edns := reply.IsEdns0(); cookie != nil {
			edns.Option = append(edns.Option, cookie)
		}
	}
	size, unproven := s.sizeLimit(query, overUDP, state == validCookie)
	if fit(reply, size) {
		s.options.Metrics.countTruncated(unproven)
	}
	return reply
}

func (s *Server) answer(query *dns.Msg, overUDP bool) *dns.Msg {
	switch {
	case query.Opcode != dns.OpcodeQuery:
		return errorReply(query, dns.RcodeNotImplemented)
	case len(query.Question) != 1:
		return errorReply(query, dns.RcodeFormatError)
	}
	question := query.Question[0]
	switch {
	case question.Qclass != dns.ClassINET, question.Qtype == dns.TypeAXFR, question.Qtype == dns.TypeIXFR:
		return errorReply(query, dns.RcodeRefused)
	}
	complete := s.complete.Load() // read before the table, which is complete from then on
	r := resolution{Server: s, question: question, name: dns.CanonicalName(question.Name), overUDP: overUDP}
	r.zone, r.inZone = s.zoneOf(r.name)
	reply := new(dns.Msg).SetReply(query)
	reply.Authoritative = true
	if r.resolve() {
		reply.Answer, reply.Extra = r.records, r.extra
		if len(reply.Answer) == 0 {
			reply.Ns = []dns.RR{r.soa()}
		}
		return reply
	}
	switch {
	case !complete: // an incomplete table does not prove that a name does not exist
		return errorReply(query, dns.RcodeServerFailure)
	case !r.inZone:
		return errorReply(query, dns.RcodeRefused)
	}
	if domain, ok := s.forwarder.zoneOf(r.name, r.zone); ok {
		return s.forwarder.forward(domain, query, overUDP)
	}
	reply.Rcode, reply.Ns = dns.RcodeNameError, []dns.RR{r.soa()}
	return reply
}

// errorReply returns a reply without records.
func errorReply(query *dns.Msg, rcode int) *dns.Msg {
	return new(dns.Msg).SetRcode(query, rcode)
}
