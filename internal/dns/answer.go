package dns

import (
	"net"
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
