package consul

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics has the metrics of all Consul sources of a process. The label "source" tells them apart.
type Metrics struct {
	requests     *prometheus.CounterVec
	rejected     *prometheus.CounterVec
	resyncs      *prometheus.CounterVec
	lastAnswer   *prometheus.GaugeVec
	failing      *prometheus.GaugeVec
	maxStaleness *prometheus.GaugeVec
	pending      *prometheus.GaugeVec
	delayed      *prometheus.CounterVec
	waiting      *prometheus.GaugeVec
}

// NewMetrics registers the metrics. It registers nothing if the registerer is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	factory := promauto.With(r)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return factory.NewCounterVec(prometheus.CounterOpts{
			Name: name, Help: help,
		}, append([]string{"source"}, labels...))
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: name, Help: help,
		}, append([]string{"source"}, labels...))
	}
	return &Metrics{
		requests: counter("isthmus_consul_requests_total", "Responses of Consul by endpoint (services, service; with more services than "+
			"connections also checks, nodes, node and index; with serviceDefaults also config) and result (ok, unchanged, discarded, error).", "endpoint", "result"),
		rejected: counter("isthmus_consul_rejected_responses_total", "Responses that were rejected because they cannot be true or complete, "+
			"by reason.", "reason"),
		resyncs: counter("isthmus_consul_resyncs_total", "Times that everything was read again because Consul had another state, as after "+
			"the restore of a snapshot."),
		delayed: counter("isthmus_consul_delayed_requests_total", "Requests that were delayed because the content of the query changes "+
			"all the time. The log names one such query a minute."),
		lastAnswer: gauge("isthmus_consul_last_answer_timestamp_seconds", "Unix time of the last response of Consul without an error."),
		pending: gauge("isthmus_consul_pending_services", "Services of the first list that are not read yet or cannot be read. 0 once the "+
			"whole content is known."),
		waiting: gauge("isthmus_consul_waiting_services", "Services that wait because the source is at its limit of services or "+
			"instances. They are served when others leave or the limit is raised."),
		failing: gauge("isthmus_consul_failing_queries", "Queries that fail now, by reason.", "reason"),
		maxStaleness: gauge("isthmus_consul_max_staleness_seconds", "Upper bound of the delay with which a change of a service without a "+
			"query of its own is detected. 0 if each service has one. Changes that wake no query are found once per wait."),
	}
}

// sourceMetrics has the metrics of one source.
type sourceMetrics struct {
	requests     *prometheus.CounterVec
	rejected     *prometheus.CounterVec
	resyncs      prometheus.Counter
	lastAnswer   prometheus.Gauge
	failing      *prometheus.GaugeVec
	maxStaleness prometheus.Gauge
	pending      prometheus.Gauge
	delayed      prometheus.Counter
	waiting      prometheus.Gauge
}

func (m *Metrics) of(source string) sourceMetrics {
	l := prometheus.Labels{"source": source}
	return sourceMetrics{
		requests:     m.requests.MustCurryWith(l),
		rejected:     m.rejected.MustCurryWith(l),
		resyncs:      m.resyncs.With(l),
		lastAnswer:   m.lastAnswer.With(l),
		failing:      m.failing.MustCurryWith(l),
		maxStaleness: m.maxStaleness.With(l),
		pending:      m.pending.With(l),
		delayed:      m.delayed.With(l),
		waiting:      m.waiting.With(l),
	}
}
