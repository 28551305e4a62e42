package xds

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Metrics are the figures of what is served by xDS.
type Metrics struct {
	clients     prometheus.Gauge
	connections prometheus.Gauge
	resources   *prometheus.GaugeVec
	bytes       *prometheus.GaugeVec
	pushes      *prometheus.CounterVec
	rejections  *prometheus.CounterVec
	refusals    prometheus.Counter
	propagation prometheus.Histogram
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		clients: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_xds_clients", Help: "Streams that istiods have open.",
		}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_xds_connections", Help: "Connections to the xDS server that are open, of 64 at most.",
		}),
		resources: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_xds_resources", Help: "Resources that are served, by kind.",
		}, []string{"kind"}),
		bytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_xds_resources_bytes",
			Help: "Size of the resources that are served, by kind: what a push sends to an istiod.",
		}, []string{"kind"}),
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_xds_pushes_total", Help: "Responses sent to istiods, by kind of resource.",
		}, []string{"kind"}),
		rejections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_xds_rejections_total",
			Help: "Responses that an istiod rejected, by kind of resource. The log has its words.",
		}, []string{"kind"}),
		refusals: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "isthmus_xds_unauthorized_total",
			Help: "Streams refused because the client's certificate has no identity that is allowed.",
		}),
		propagation: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "isthmus_xds_propagation_seconds",
			Help:    "Seconds from the registry's answer until a change is served, whether an istiod is there or not. One that hasn't taken what it was sent before gets it later.",
			Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60},
		}),
	}
	registerer.MustRegister(m.clients, m.connections, m.resources, m.bytes, m.pushes, m.rejections, m.refusals, m.propagation)
	return m
}

func (m *Metrics) hold(kind mesh.Kind, s *store) {
	resources, bytes := s.count(kind)
	m.resources.WithLabelValues(string(kind)).Set(float64(resources))
	m.bytes.WithLabelValues(string(kind)).Set(float64(bytes))
}
