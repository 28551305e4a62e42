package connlimit

import "github.com/prometheus/client_golang/prometheus"

// Reasons in the metrics and the log.
const (
	clientLimit = "client_limit"
	totalLimit  = "total_limit"
)

// Metrics are the metrics of the connections of a server.
type Metrics struct {
	// Open is the number of open connections.
	Open prometheus.Gauge
	// Closed counts the connections that were closed because of a limit, by reason.
	Closed *prometheus.CounterVec
}

// NewMetrics creates the metrics of a server, such as isthmus_dns_connections for the server dns, and registers them.
func NewMetrics(registerer prometheus.Registerer, server string) *Metrics {
	m := &Metrics{
		Open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_" + server + "_connections",
			Help: "Number of open connections to the " + server + " server.",
		}),
		Closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_" + server + "_connections_closed_total",
			Help: "Number of connections to the " + server + " server that were closed because of a limit, " +
				"by limit: client_limit or total_limit.",
		}, []string{"reason"}),
	}
	registerer.MustRegister(m.Open, m.Closed)
	return m
}
