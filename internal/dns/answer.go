package dns

import (
	"net"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxUDP is the size in bytes of the longest UDP answer that no network fragments (dnsflagday.net/2020).
	maxUDP = 1232
	// maxUDPRecords is more than the number of records that fit into maxUDP, at 16 bytes each. An answer with as many
	// records is truncated and marked as truncated.
	maxUDPRecords = 100
)

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	_, overUDP := w.RemoteAddr().(*net.UDPAddr)
	start := time.Now()
	reply := s.reply(query, overUDP)
	s.options.Metrics.answered(query, reply, time.Since(start))
	_ = w.WriteMsg(reply) // the client is gone
}

// reply answers a query with a message that fits the protocol of the query.
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
