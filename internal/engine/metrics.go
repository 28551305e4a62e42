package engine

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Metrics are the figures of what goes over the bridge.
type Metrics struct {
	services   *prometheus.GaugeVec
	instances  *prometheus.GaugeVec
	changes    *prometheus.CounterVec
	lastChange *prometheus.GaugeVec
	findings   *prometheus.GaugeVec
	avoided    prometheus.Gauge

	heldInstances, heldServices, heldSince, recalled *prometheus.GaugeVec
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
			Name: "isthmus_findings",
			Help: "What is left out, or not taken over as registered, by reason. The log names each once.",
		}, []string{"source", "reason"}),
		avoided: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_virtual_addresses_excluded",
			Help: "Addresses, and ranges of them, within those for virtual addresses that somebody else's objects have in the mesh. No service is given one.",
		}),
		heldInstances: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_held_instances", Help: "Instances that the mesh keeps though the source doesn't report them as serving.",
		}, []string{"source"}),
		heldServices: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_held_services", Help: "Services of which all instances are held.",
		}, []string{"source"}),
		heldSince: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_held_since_timestamp_seconds", Help: "Since when removals are held, in Unix time; 0 while none are.",
		}, []string{"source"}),
		recalled: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_last_known_good_timestamp_seconds",
			Help: "When the last known good last changed that stands for the source since the start, in Unix time; 0 once it has reported.",
		}, []string{"source"}),
	}
	registerer.MustRegister(m.services, m.instances, m.changes, m.lastChange, m.findings, m.avoided,
		m.heldInstances, m.heldServices, m.heldSince, m.recalled)
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
	m.lastChange.WithLabelValues(source).Set(unix(observed))
}

func (m *Metrics) held(source string, hold guard.Hold) {
	m.heldInstances.WithLabelValues(source).Set(float64(hold.Instances))
	m.heldServices.WithLabelValues(source).Set(float64(hold.Services))
	m.heldSince.WithLabelValues(source).Set(unix(hold.Since))
}

func (m *Metrics) lastKnownGood(source string, changed time.Time) {
	m.recalled.WithLabelValues(source).Set(unix(changed))
}

// unix is 0 for the zero time.
func unix(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixMilli()) / 1000
}

func (m *Metrics) finding(source string, reason mesh.Reason, by float64) {
	m.findings.WithLabelValues(source, string(reason)).Add(by)
}
