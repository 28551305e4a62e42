package consul

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are the figures of all Consul sources of a process, told apart by the label "source".
type Metrics struct {
	requests, discarded, resyncs  *prometheus.CounterVec
	lastAnswer, trouble, lateness *prometheus.GaugeVec
	unread                        *prometheus.GaugeVec
}

// NewMetrics registers the figures; a nil registerer registers them nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	factory := promauto.With(r)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return factory.NewCounterVec(prometheus.CounterOpts{
			Namespace: "isthmus", Subsystem: "consul", Name: name, Help: help,
		}, append([]string{"source"}, labels...))
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return factory.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "isthmus", Subsystem: "consul", Name: name, Help: help,
		}, append([]string{"source"}, labels...))
	}
	return &Metrics{
		requests: counter("requests_total", "Answers of Consul by endpoint (services, service; "+
			"where services outnumber connections checks, nodes, node and probe too) and result: "+
			"ok, unchanged (nothing new within the wait), discarded, error.", "endpoint", "result"),
		discarded: counter("rejected_responses_total", "Answers that were not used because they can't be the "+
			"whole truth, by reason.", "reason"),
		resyncs: counter("resyncs_total", "How often everything was read again because Consul's state was "+
			"another one than before, as after the restore of a snapshot."),
		lastAnswer: gauge("last_answer_timestamp_seconds", "When Consul last answered without an error."),
		unread: gauge("pending_services", "Services of the first list that were not read, yet or because they can't be: 0 once the "+
			"whole content is known."),
		trouble: gauge("failing_queries", "Queries in trouble now, by reason.", "reason"),
		lateness: gauge("max_staleness_seconds", "How late a change of a service without a connection of its own "+
			"can be seen; 0 where each has one. What Consul wakes nobody for is found once each wait."),
	}
}

// sourceMetrics are the figures of one source.
type sourceMetrics struct {
	requests, discarded          *prometheus.CounterVec
	resyncs                      prometheus.Counter
	lastAnswer, lateness, unread prometheus.Gauge
	trouble                      *prometheus.GaugeVec
}

func (m *Metrics) of(source string) sourceMetrics {
	l := prometheus.Labels{"source": source}
	return sourceMetrics{
		requests:   m.requests.MustCurryWith(l),
		discarded:  m.discarded.MustCurryWith(l),
		resyncs:    m.resyncs.With(l),
		lastAnswer: m.lastAnswer.With(l),
		trouble:    m.trouble.MustCurryWith(l),
		lateness:   m.lateness.With(l),
		unread:     m.unread.With(l),
	}
}
