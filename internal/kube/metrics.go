package kube

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Metrics are the figures of the writes to the Kubernetes API.
type Metrics struct {
	writes      *prometheus.CounterVec
	propagation prometheus.Histogram
	leader      prometheus.Gauge
	conflicts   *prometheus.GaugeVec
	clashes     prometheus.Gauge
	unanswered  prometheus.Gauge
	unwritten   *prometheus.GaugeVec
	rewrites    prometheus.Counter
	watchErrors *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_kubernetes_writes_total",
			Help: "Writes to the Kubernetes API by kind of object, verb and result (ok, or the reason that the API server gave).",
		}, []string{"kind", "verb", "result"}),
		propagation: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "isthmus_kubernetes_propagation_seconds",
			Help:    "Seconds from the registry's answer to the end of the last write that it led to, for each change.",
			Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60},
		}),
		leader: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_leader", Help: "1 on the replica that writes, 0 on the others.",
		}),
		conflicts: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_kubernetes_host_conflicts",
			Help: "Hosts that a service and somebody else's ServiceEntry or Service would have, by outcome: left to who had it first, or kept.",
		}, []string{"outcome"}),
		clashes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_kubernetes_address_conflicts",
			Help: "Virtual addresses that a service has and somebody else's object too, alone or in a range.",
		}),
		unanswered: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_kubernetes_api_unreachable", Help: "1 while the API server does not answer writes, else 0.",
		}),
		unwritten: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_kubernetes_failed_services",
			Help: "Services that are not as they should be, because writing them was refused, by reason.",
		}, []string{"reason"}),
		rewrites: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "isthmus_kubernetes_drift_corrections_total",
			Help: "Times that a service was put right after somebody else had changed or deleted what isthmus wrote.",
		}),
		watchErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_kubernetes_watch_errors_total",
			Help: "Failures to list or watch what stands in the mesh, by reason. Each is tried again.",
		}, []string{"reason"}),
	}
	registerer.MustRegister(m.writes, m.propagation, m.leader, m.conflicts, m.clashes, m.unanswered, m.unwritten, m.rewrites, m.watchErrors)
	return m
}

// disputed counts a dispute that began or, with -1, ended.
func (m *Metrics) disputed(d dispute, by float64) {
	if d.address.IsValid() {
		m.clashes.Add(by)
		return
	}
	m.conflicts.WithLabelValues(d.outcome()).Add(by)
}

// wrote counts a write.
func (m *Metrics) wrote(verb, kind string, err error) {
	result := "ok"
	if err != nil {
		result = cmp.Or(string(apierrors.ReasonForError(err)), "error")
	}
	m.writes.WithLabelValues(kind, verb, result).Inc()
}
