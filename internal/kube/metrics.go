package kube

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/isthmus-mesh/isthmus/internal/kube/conflict"
)

// Metrics are the metrics of the Kubernetes output.
type Metrics struct {
	writes           *prometheus.CounterVec
	propagation      prometheus.Histogram
	leader           prometheus.Gauge
	conflicts        *conflict.Metrics
	unreachable      prometheus.Gauge
	failedServices   *prometheus.GaugeVec
	driftCorrections prometheus.Counter
	watchErrors      *prometheus.CounterVec
}

// NewMetrics returns registered metrics.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_kubernetes_writes_total",
			Help: "Total number of writes to the Kubernetes API by kind, verb and result: ok, or the reason of the error.",
		}, []string{"kind", "verb", "result"}),
		propagation: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "isthmus_kubernetes_propagation_seconds",
			Help:    "Seconds from the response of the registry to the end of the last write that it caused, per change.",
			Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60},
		}),
		leader: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_leader", Help: "1 on the replica that leads, 0 on the others.",
		}),
		conflicts: conflict.NewMetrics(registerer),
		unreachable: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_kubernetes_api_unreachable", Help: "1 while the API server does not respond to writes, 0 otherwise.",
		}),
		failedServices: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_kubernetes_failed_services",
			Help: "Number of services that are not written because of an error, by reason.",
		}, []string{"reason"}),
		driftCorrections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "isthmus_kubernetes_drift_corrections_total",
			Help: "Total number of corrections of services after another client had changed or deleted their objects.",
		}),
		watchErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_kubernetes_watch_errors_total",
			Help: "Total number of failures to list or watch objects, by reason. Each is retried.",
		}, []string{"reason"}),
	}
	registerer.MustRegister(m.writes, m.propagation, m.leader, m.unreachable, m.failedServices, m.driftCorrections, m.watchErrors)
	return m
}

// countWrite counts a write.
func (m *Metrics) countWrite(verb, kind string, err error) {
	result := "ok"
	if err != nil {
		result = cmp.Or(string(apierrors.ReasonForError(err)), "error")
	}
	m.writes.WithLabelValues(kind, verb, result).Inc()
}
