package configstore

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the metrics of the output.
type Metrics struct {
	objects     *prometheus.GaugeVec
	propagation prometheus.Histogram
}

// NewMetrics creates the metrics and registers them.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		objects: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_istiod_objects", Help: "Number of objects in the config store of istiod, by kind.",
		}, []string{"kind"}),
		propagation: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "isthmus_istiod_propagation_seconds",
			Help:    "Time from the response of the registry until a change is in the config store of istiod.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60},
		}),
	}
	registerer.MustRegister(m.objects, m.propagation)
	return m
}
