package dns

import (
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// forwardTimeout is how long each of Consul's DNS servers is waited for.
	forwardTimeout = 2 * time.Second
	// maxForwarded bounds the queries that wait for Consul at a time; more are told to come again.
	maxForwarded = 256
)

// forwarder passes queries on to Consul's own DNS.
type forwarder struct {
	// zones are those that somebody may be asked about, those below others first.
	zones   []forwarded
	waiting chan struct{}
	metrics *Metrics
}

// forwarded is a domain, and who is asked about it.
type forwarded struct {
	apex    string
	servers []string
}

func newForwarder(options Options) *forwarder {
	f := &forwarder{waiting: make(chan struct{}, maxForwarded), metrics: options.Metrics}
	for domain, servers := range options.Forward {
		f.zones = append(f.zones, forwarded{dns.CanonicalName(domain), servers})
	}
	slices.SortFunc(f.zones, func(a, b forwarded) int { return len(b.apex) - len(a.apex) })
	return f
}

// servers returns who is asked about a name in a zone; nobody where it isn't passed on.
func (f *forwarder) servers(name string, in zone) []string {
	for _, z := range f.zones {
		if in.ofConsul && isUnder(name, z.apex) && isUnder(z.apex, in.apex) {
			return z.servers
		}
	}
	return nil
}

// ask returns the first answer of the servers, by the way that the query came: a cut one has who asks come again by TCP.
func (f *forwarder) ask(servers []string, query *dns.Msg, overUDP bool) *dns.Msg {
	select {
	case f.waiting <- struct{}{}:
		defer func() { <-f.waiting }()
	default:
		f.metrics.forwarded.WithLabelValues("too_many").Inc()
		return refusal(query, dns.RcodeServerFailure)
	}
	client := dns.Client{Net: "tcp", Timeout: forwardTimeout}
	if overUDP {
		client.Net, client.UDPSize = "udp", maxUDP
	}
	question := query.Question[0]
	asked := new(dns.Msg).SetQuestion(question.Name, question.Qtype)
	asked.RecursionDesired = false
	asked.SetEdns0(maxUDP, false)
	for _, server := range servers {
		answer, _, err := client.Exchange(asked, server)
		if err != nil || answer == nil || !sameQuestion(asked, answer) || answer.Rcode == dns.RcodeServerFailure {
			continue
		}
		f.metrics.forwarded.WithLabelValues("answered").Inc()
		return relayed(query, answer)
	}
	f.metrics.forwarded.WithLabelValues("failed").Inc()
	return refusal(query, dns.RcodeServerFailure)
}

// relayed is an answer of Consul's as one of ours. What concerns the way between us and Consul stays behind.
func relayed(query, answer *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetRcode(query, answer.Rcode)
	reply.Authoritative, reply.Truncated = answer.Authoritative, answer.Truncated
	reply.Answer, reply.Ns = answer.Answer, answer.Ns
	for _, record := range answer.Extra {
		if record.Header().Rrtype != dns.TypeOPT {
			reply.Extra = append(reply.Extra, record)
		}
	}
	return reply
}

func sameQuestion(asked, answer *dns.Msg) bool {
	return answer.Response && len(answer.Question) == 1 && answer.Question[0].Qtype == asked.Question[0].Qtype &&
		strings.EqualFold(answer.Question[0].Name, asked.Question[0].Name)
}
