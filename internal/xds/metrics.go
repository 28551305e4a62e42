package xds

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/connlimit"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Metrics are the metrics of the xDS output.
type Metrics struct {
	clients      prometheus.Gauge
	connections  *connlimit.Metrics
	resources    *prometheus.GaugeVec
	bytes        *prometheus.GaugeVec
	pushes       *prometheus.CounterVec
	rejections   *prometheus.CounterVec
	unauthorized prometheus.Counter
	propagation  prometheus.Histogram
}

// NewMetrics creates the metrics and registers them.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		clients: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_xds_clients", Help: "Number of open xDS streams of istiod.",
		}),
		connections: connlimit.NewMetrics(registerer, "xds"),
		resources: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_xds_resources", Help: "Number of resources served, by kind.",
		}, []string{"kind"}),
		bytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_xds_resources_bytes",
			Help: "Size of the resources served, by kind. A push sends this many bytes to each istiod.",
		}, []string{"kind"}),
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_xds_pushes_total", Help: "Number of responses sent to istiod, by kind of resource.",
		}, []string{"kind"}),
		rejections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_xds_rejections_total",
			Help: "Number of responses that istiod rejected, by kind of resource. The log has the error.",
		}, []string{"kind"}),
		unauthorized: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "isthmus_xds_unauthorized_total",
			Help: "Number of streams rejected because no identity of the client certificate is listed in xds.clients.",
		}),
		propagation: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "isthmus_xds_propagation_seconds",
			Help: "Time from the response of the registry until a change is served, with or without a connected istiod. " +
				"An istiod that has not acknowledged the previous response receives the change later.",
			Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60},
		}),
	}
	registerer.MustRegister(
		m.clients, m.resources, m.bytes, m.pushes, m.rejections, m.unauthorized, m.propagation,
	)
	return m
}

// setSize sets the number and size of the resources of a kind.
func (m *Metrics) setSize(kind mesh.Kind, s *store) {
	resources, bytes := s.count(kind)
	m.resources.WithLabelValues(string(kind)).Set(float64(resources))
	m.bytes.WithLabelValues(string(kind)).Set(float64(bytes))
}
