package dns

import (
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
	servers []string
	waiting chan struct{}
	metrics *Metrics
}

// newForwarder returns nil where there is nobody to ask.
func newForwarder(options Options) *forwarder {
	if len(options.Forward) == 0 {
		return nil
	}
	return &forwarder{servers: options.Forward, waiting: make(chan struct{}, maxForwarded), metrics: options.Metrics}
}

// ask returns the first answer, by the way that the query came: a cut one has who asks come again by TCP.
func (f *forwarder) ask(query *dns.Msg, overUDP bool) *dns.Msg {
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
	for _, server := range f.servers {
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
