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
}

// forwardZone is a domain and the servers that queries below it are forwarded to.
type forwardZone struct {
	apex    string
	servers []string
}

func newForwarder(options Options) *forwarder {
	f := &forwarder{slots: make(chan struct{}, maxForwarded), metrics: options.Metrics}
	for domain, servers := range options.Forward {
		f.zones = append(f.zones, forwardZone{dns.CanonicalName(domain), servers})
	}
	slices.SortFunc(f.zones, func(a, b forwardZone) int { return len(b.apex) - len(a.apex) })
	return f
}

// servers returns the servers for a name in a zone; none if the name is not forwarded.
func (f *forwarder) servers(name string, in zone) []string {
	for _, z := range f.zones {
		if in.ofConsul && isUnder(name, z.apex) && isUnder(z.apex, in.apex) {
			return z.servers
		}
	}
	return nil
}

// forward returns the first answer of the servers. It uses the protocol of the query: a truncated answer makes the client
// repeat the query over TCP.
func (f *forwarder) forward(servers []string, query *dns.Msg, overUDP bool) *dns.Msg {
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
	for _, server := range servers {
		response, _, err := client.Exchange(request, server)
		if err != nil || response == nil || !answers(response, request) || response.Rcode == dns.RcodeServerFailure {
			continue
		}
		f.metrics.forwarded.WithLabelValues("answered").Inc()
		return relay(query, response)
	}
	f.metrics.forwarded.WithLabelValues("failed").Inc()
	return errorReply(query, dns.RcodeServerFailure)
}

// relay turns a response of Consul into a reply to the query. It drops the EDNS record of the connection to Consul.
func relay(query, response *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetRcode(query, response.Rcode)
	reply.Authoritative, reply.Truncated = response.Authoritative, response.Truncated
	reply.Answer, reply.Ns = response.Answer, response.Ns
	for _, record := range response.Extra {
		if record.Header().Rrtype != dns.TypeOPT {
			reply.Extra = append(reply.Extra, record)
		}
	}
	return reply
}

// answers reports whether a response belongs to a request.
func answers(response, request *dns.Msg) bool {
	return response.Response && len(response.Question) == 1 && response.Question[0].Qtype == request.Question[0].Qtype &&
		strings.EqualFold(response.Question[0].Name, request.Question[0].Name)
}
