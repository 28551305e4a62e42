package dns

import (
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/connlimit"
)

// Metrics are the metrics of the DNS server.
type Metrics struct {
	connections *connlimit.Metrics
	queries     *prometheus.CounterVec
	seconds     prometheus.Histogram
	forwarded   *prometheus.CounterVec
	truncated   *prometheus.CounterVec
	hosts       prometheus.Gauge
}

// NewMetrics creates the metrics and registers them.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		connections: connlimit.NewMetrics(registerer, "dns"),
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_dns_queries_total",
			Help: "Number of answered DNS queries, by type of the query and response code.",
		}, []string{"type", "rcode"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "isthmus_dns_query_duration_seconds",
			Help:    "Time to answer a DNS query, without the network between client and server.",
			Buckets: []float64{.00001, .00003, .0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3},
		}),
		forwarded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_dns_forwarded_total",
			Help: "Number of DNS queries forwarded to Consul, by outcome: answered, failed or too_many.",
		}, []string{"outcome"}),
		truncated: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_dns_truncated_total",
			Help: "Number of truncated DNS answers, by reason: size, or no_cookie for the limit of clients without a DNS cookie.",
		}, []string{"reason"}),
		hosts: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_dns_hosts", Help: "Number of hosts that the DNS server answers for.",
		}),
	}
	registerer.MustRegister(m.queries, m.seconds, m.forwarded, m.truncated, m.hosts)
	return m
}

// answered counts a query. Types without an answer share one label, so a client cannot add series.
func (m *Metrics) answered(query, reply *dns.Msg, duration time.Duration) {
	kind := "other"
	if len(query.Question) == 1 {
		switch qtype := query.Question[0].Qtype; qtype {
		case dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypePTR, dns.TypeSOA, dns.TypeANY:
			kind = dns.TypeToString[qtype]
		}
	}
	rcode, ok := dns.RcodeToString[reply.Rcode]
	if !ok {
		rcode = "other"
	}
	m.queries.WithLabelValues(kind, rcode).Inc()
	m.seconds.Observe(duration.Seconds())
}

// countTruncated counts a truncated answer. The client is unproven if a valid cookie would have allowed a longer answer.
func (m *Metrics) countTruncated(unproven bool) {
	reason := "size"
	if unproven {
		reason = "no_cookie"
	}
	m.truncated.WithLabelValues(reason).Inc()
}
