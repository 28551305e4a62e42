package bridge

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Metrics are the figures of what goes over the bridge.
type Metrics struct {
	services   *prometheus.GaugeVec
	instances  *prometheus.GaugeVec
	changes    *prometheus.CounterVec
	lastChange *prometheus.GaugeVec
	findings   *prometheus.GaugeVec
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		services: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_services", Help: "Services that the source reports.",
		}, []string{"source"}),
		instances: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_instances", Help: "Instances that the source reports, healthy or not.",
		}, []string{"source"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_changes_total", Help: "Changes of a service that changed what the mesh should hold.",
		}, []string{"source"}),
		lastChange: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_last_change_timestamp_seconds",
			Help: "When the source reported the last change that changed what the mesh should hold, in Unix time.",
		}, []string{"source"}),
		findings: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_left_out",
			Help: "What is left out, or not taken over as registered, by reason. The log names each once.",
		}, []string{"source", "reason"}),
	}
	registerer.MustRegister(m.services, m.instances, m.changes, m.lastChange, m.findings)
	return m
}

// reported counts a report of a service that had so many instances before, and has so many now.
func (m *Metrics) reported(source string, before, now int) {
	switch {
	case before == 0 && now > 0:
		m.services.WithLabelValues(source).Inc()
	case before > 0 && now == 0:
		m.services.WithLabelValues(source).Dec()
	}
	m.instances.WithLabelValues(source).Add(float64(now - before))
}

func (m *Metrics) changed(source string, observed time.Time) {
	m.changes.WithLabelValues(source).Inc()
	m.lastChange.WithLabelValues(source).Set(float64(observed.UnixMilli()) / 1000)
}

func (m *Metrics) finding(source string, reason mesh.Reason, by float64) {
	m.findings.WithLabelValues(source, string(reason)).Add(by)
}
