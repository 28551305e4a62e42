package dns

import (
	"slices"
	"sort"

	"github.com/miekg/dns"
)

const (
	// maxUDP is the size in bytes of the longest UDP answer that no network fragments (dnsflagday.net/2020).
	maxUDP = 1232
	// maxUDPRecords is more than the number of records that fit into maxUDP, at 16 bytes each. An answer with as many
	// records is truncated and marked as truncated.
	maxUDPRecords = 100
)

// sizeLimit returns the number of bytes that a reply may have, and whether the limit is the one for clients without a
// cookie. Anyone can send a query by UDP with the address of a victim as its source. Therefore the reply is at most
// MaxAmplification times as long as the query, unless the cookie proves the address.
func (s *Server) sizeLimit(query *dns.Msg, overUDP, proven bool) (size int, unproven bool) {
	if !overUDP {
		return dns.MaxMsgSize, false
	}
	size = dns.MinMsgSize
	if edns := query.IsEdns0(); edns != nil {
		size = min(max(int(edns.UDPSize()), dns.MinMsgSize), maxUDP)
	}
	if bound := s.options.MaxAmplification * querySize(query); s.options.MaxAmplification > 0 && !proven && bound < size {
		return bound, true
	}
	return size, false
}

// querySize returns the number of bytes of the question and the EDNS record of a query. Other records do not count, since
// their compressed names can stand for more bytes than the query has.
func querySize(query *dns.Msg) int {
	counted := dns.Msg{Question: query.Question}
	if edns := query.IsEdns0(); edns != nil {
		counted.Extra = []dns.RR{edns}
	}
	return counted.Len()
}

// fit removes the records that do not fit into size bytes. It marks the reply as truncated if a required record is
// missing. Additional records are not required (RFC 2181, 9).
func fit(reply *dns.Msg, size int) (truncated bool) {
	reply.Compress = false
	if reply.Len() <= size {
		return false
	}
	reply.Compress = true
	if reply.Len() <= size {
		return false
	}
	extra, edns := slices.Clone(reply.Extra), []dns.RR(nil)
	if at := slices.IndexFunc(extra, func(r dns.RR) bool { return r.Header().Rrtype == dns.TypeOPT }); at >= 0 {
		edns = []dns.RR{extra[at]}
		extra = slices.Delete(extra, at, at+1)
	}
	set := func(count int) { reply.Extra = append(extra[:count:count], edns...) }
	set(0)
	if reply.Len() <= size {
		set(longest(len(extra), func(count int) bool { set(count); return reply.Len() <= size }))
		return false
	}
	reply.Ns, reply.Truncated = nil, true
	answer := reply.Answer
	reply.Answer = answer[:longest(len(answer), func(count int) bool {
		reply.Answer = answer[:count]
		return reply.Len() <= size
	})]
	return true
}

// longest returns the largest number up to limit that fits; 0 if none does.
func longest(limit int, fits func(count int) bool) int {
	return sort.Search(limit, func(count int) bool { return !fits(count + 1) })
}
