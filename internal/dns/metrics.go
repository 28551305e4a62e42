package dns

import (
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the figures of the DNS server.
type Metrics struct {
	queries   *prometheus.CounterVec
	seconds   prometheus.Histogram
	forwarded *prometheus.CounterVec
	hosts     prometheus.Gauge
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_dns_queries_total", Help: "DNS queries that were answered, by type and by the answer's code.",
		}, []string{"type", "rcode"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "isthmus_dns_query_duration_seconds", Help: "Time that a DNS query took, without the network to who asked.",
			Buckets: []float64{.00001, .00003, .0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3},
		}),
		forwarded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_dns_forwarded_total", Help: "DNS queries that were passed on to Consul, by outcome: answered, failed or too_many.",
		}, []string{"outcome"}),
		hosts: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_dns_hosts", Help: "Hosts that DNS is answered for.",
		}),
	}
	registerer.MustRegister(m.queries, m.seconds, m.forwarded, m.hosts)
	return m
}

// answered counts a query. Who asks can't make up labels: types that have no answer are counted together.
func (m *Metrics) answered(query, reply *dns.Msg, took time.Duration) {
	kind := "other"
	if len(query.Question) == 1 {
		switch asked := query.Question[0].Qtype; asked {
		case dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypePTR, dns.TypeSOA, dns.TypeANY:
			kind = dns.TypeToString[asked]
		}
	}
	rcode, ok := dns.RcodeToString[reply.Rcode]
	if !ok {
		rcode = "other"
	}
	m.queries.WithLabelValues(kind, rcode).Inc()
	m.seconds.Observe(took.Seconds())
}
