package dns

import (
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// forwardTimeout is how long the forwarder waits for each of Consul's DNS servers.
	forwardTimeout = 2 * time.Second
	// maxForwarded limits the forwarded queries in progress. Further queries are answered with SERVFAIL.
	maxForwarded = 256
)

// forwarder forwards queries to Consul's own DNS.
type forwarder struct {
	// zones are the forwarded domains. A domain comes before the domains that contain it.
	zones []forwardZone
	// slots has an element for each query in progress.
	slots   chan struct{}
	metrics *Metrics
	// known reports whether the server itself answers a name.
	known func(name string) bool
}

// forwardZone is a domain and the servers that queries below it are forwarded to.
type forwardZone struct {
	apex    string
	servers []string
}

func newForwarder(options Options, known func(name string) bool) *forwarder {
	f := &forwarder{slots: make(chan struct{}, maxForwarded), metrics: options.Metrics, known: known}
	for domain, servers := range options.Forward {
		f.zones = append(f.zones, forwardZone{dns.CanonicalName(domain), servers})
	}
	slices.SortFunc(f.zones, func(a, b forwardZone) int { return len(b.apex) - len(a.apex) })
	return f
}

// zoneOf returns the domain whose servers a name in a zone is forwarded to; false if the name is not forwarded.
func (f *forwarder) zoneOf(name string, in zone) (forwardZone, bool) {
	for _, z := range f.zones {
		if in.ofConsul && isUnder(name, z.apex) && isUnder(z.apex, in.apex) {
			return z, true
		}
	}
	return forwardZone{}, false
}

// forward returns the first answer of the servers of a domain. It uses the protocol of the query: a truncated answer makes the client
// repeat the query over TCP.
func (f *forwarder) forward(domain forwardZone, query *dns.Msg, overUDP bool) *dns.Msg {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	default:
		f.metrics.forwarded.WithLabelValues("too_many").Inc()
		return errorReply(query, dns.RcodeServerFailure)
	}
	client := dns.Client{Net: "tcp", Timeout: forwardTimeout}
	if overUDP {
		client.Net, client.UDPSize = "udp", maxUDP
	}
	question := query.Question[0]
	request := new(dns.Msg).SetQuestion(question.Name, question.Qtype)
	request.RecursionDesired = false
	request.SetEdns0(maxUDP, false)
	for _, server := range domain.servers {
		response, _, err := client.Exchange(request, server)
		if err != nil || response == nil || !answers(response, request) || response.Rcode == dns.RcodeServerFailure {
			continue
		}
		f.metrics.forwarded.WithLabelValues("answered").Inc()
		return f.relay(query, response, domain.apex)
	}
	f.metrics.forwarded.WithLabelValues("failed").Inc()
	return errorReply(query, dns.RcodeServerFailure)
}

// relay turns a response of Consul into a reply to the query. It drops the EDNS record of the connection to Consul, and each
// record that does not belong to the answer: records outside the domain, of a name that this server answers, or of a name
// that neither the query nor another record of the answer refers to.
func (f *forwarder) relay(query, response *dns.Msg, domain string) *dns.Msg {
	reply := new(dns.Msg).SetRcode(query, response.Rcode)
	reply.Authoritative, reply.Truncated = response.Authoritative, response.Truncated
	question := query.Question[0]
	own := func(name string) bool {
		return isUnder(name, domain) && !f.known(name)
	}
	asked := dns.CanonicalName(question.Name)
	owners, targets := map[string]bool{asked: true}, map[string]bool{asked: true}
	for range maxAliases { // the records of a chain may have any order
		for _, record := range response.Answer {
			if alias, ok := record.(*dns.CNAME); ok && owners[ownerOf(record)] {
				owners[dns.CanonicalName(alias.Target)] = true
			}
		}
	}
	for _, record := range response.Answer {
		kind := record.Header().Rrtype
		wanted := kind == question.Qtype || kind == dns.TypeCNAME || question.Qtype == dns.TypeANY
		if owner := ownerOf(record); wanted && owners[owner] && own(owner) {
			reply.Answer = append(reply.Answer, record)
			targets[targetOf(record)] = true
		}
	}
	for _, record := range response.Ns {
		if owner := ownerOf(record); isUnder(asked, owner) && isUnder(owner, domain) {
			reply.Ns = append(reply.Ns, record)
			targets[targetOf(record)] = true
		}
	}
	for _, record := range response.Extra {
		if owner := ownerOf(record); record.Header().Rrtype != dns.TypeOPT && targets[owner] && own(owner) {
			reply.Extra = append(reply.Extra, record)
		}
	}
	return reply
}

// maxAliases limits the length of a chain of CNAME records.
const maxAliases = 8

func ownerOf(record dns.RR) string { return dns.CanonicalName(record.Header().Name) }

// targetOf returns the name that a record refers to; empty if there is none.
func targetOf(record dns.RR) string {
	switch record := record.(type) {
	case *dns.CNAME:
		return dns.CanonicalName(record.Target)
	case *dns.SRV:
		return dns.CanonicalName(record.Target)
	case *dns.NS:
		return dns.CanonicalName(record.Ns)
	case *dns.PTR:
		return dns.CanonicalName(record.Ptr)
	default:
		return ""
	}
}

// answers reports whether a response belongs to a request.
func answers(response, request *dns.Msg) bool {
	return response.Response && len(response.Question) == 1 && response.Question[0].Qtype == request.Question[0].Qtype &&
		strings.EqualFold(response.Question[0].Name, request.Question[0].Name)
}
