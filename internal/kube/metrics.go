package kube

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the figures of the writes to the Kubernetes API.
type Metrics struct {
	writes      *prometheus.CounterVec
	propagation prometheus.Histogram
	leader      prometheus.Gauge
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
	}
	registerer.MustRegister(m.writes, m.propagation, m.leader)
	return m
}
