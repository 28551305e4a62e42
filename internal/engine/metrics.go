package engine

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Metrics are the metrics of an engine. Create them with NewMetrics.
type Metrics struct {
	services      *prometheus.GaugeVec
	instances     *prometheus.GaugeVec
	changes       *prometheus.CounterVec
	lastChange    *prometheus.GaugeVec
	findings      *prometheus.GaugeVec
	excluded      prometheus.Gauge
	heldInstances *prometheus.GaugeVec
	heldServices  *prometheus.GaugeVec
	heldSince     *prometheus.GaugeVec
	holds         *prometheus.GaugeVec
	restored      *prometheus.GaugeVec
	desired       *prometheus.GaugeVec
	waiting       *prometheus.GaugeVec
}

// NewMetrics returns metrics that are registered with registerer.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		services: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_services", Help: "Number of services that the source reports.",
		}, []string{"source"}),
		instances: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_instances", Help: "Number of instances that the source reports, healthy or not.",
		}, []string{"source"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_changes_total", Help: "Number of changes of a service that changed the desired state.",
		}, []string{"source"}),
		lastChange: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_last_change_timestamp_seconds",
			Help: "Time at which the source reported the last change of the desired state, in seconds since the epoch.",
		}, []string{"source"}),
		findings: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_findings",
			Help: "Number of services with registrations that are skipped or adjusted, by reason. The log has examples.",
		}, []string{"source", "reason"}),
		excluded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_virtual_addresses_excluded",
			Help: "Number of addresses and blocks within the virtual address ranges that foreign objects use in the mesh. No service gets one.",
		}),
		heldInstances: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_held_instances", Help: "Number of instances that the mesh keeps although the source doesn't report them as serving.",
		}, []string{"source"}),
		heldServices: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_held_services", Help: "Number of services whose instances are all held.",
		}, []string{"source"}),
		heldSince: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_held_since_timestamp_seconds", Help: "Time at which the active hold began, in seconds since the epoch. It is 0 without a hold.",
		}, []string{"source"}),
		holds: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_holds", Help: "Number of mass removals of the source that are held. Each one ends by itself.",
		}, []string{"source"}),
		restored: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_last_known_good_timestamp_seconds",
			Help: "Time of the newest change in the last known good that is used for the source, in seconds since the epoch. It is 0 once the source is complete.",
		}, []string{"source"}),
		desired: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_objects", Help: "Number of objects of the source, or of its group if it is merged.",
		}, []string{"source"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_waiting_objects",
			Help: "Number of objects that wait because of limits.objects or limits.objectsPerSource.",
		}, []string{"source"}),
	}
	registerer.MustRegister(m.desired, m.waiting, m.services, m.instances, m.changes, m.lastChange, m.findings, m.excluded,
		m.heldInstances, m.heldServices, m.heldSince, m.holds, m.restored)
	return m
}

// reported records that the instances of a service changed from before to now.
func (m *Metrics) reported(source string, before, now int) {
	switch {
	case before == 0 && now > 0:
		m.services.WithLabelValues(source).Inc()
	case before > 0 && now == 0:
		m.services.WithLabelValues(source).Dec()
	}
	m.instances.WithLabelValues(source).Add(float64(now - before))
}

// changed records a change of the desired state.
func (m *Metrics) changed(source string, observed time.Time) {
	m.changes.WithLabelValues(source).Inc()
	m.lastChange.WithLabelValues(source).Set(unix(observed))
}

// held records the hold of a source, or the zero Hold.
func (m *Metrics) held(source string, hold guard.Hold) {
	m.heldInstances.WithLabelValues(source).Set(float64(hold.Instances))
	m.heldServices.WithLabelValues(source).Set(float64(hold.Services))
	m.heldSince.WithLabelValues(source).Set(unix(hold.Since))
	m.holds.WithLabelValues(source).Set(float64(hold.Removals))
}

// lastKnownGood records the age of the last known good of a source. The zero time means that it isn't used.
func (m *Metrics) lastKnownGood(source string, changed time.Time) {
	m.restored.WithLabelValues(source).Set(unix(changed))
}

// unix returns the seconds since the epoch, or 0 for the zero time.
func unix(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixMilli()) / 1000
}

// finding adds to the number of services with a finding.
func (m *Metrics) finding(source string, reason mesh.Reason, by float64) {
	m.findings.WithLabelValues(source, string(reason)).Add(by)
}

// objects records the number of objects, and of those that wait.
func (m *Metrics) objects(b *objectBudget) {
	waiting := map[string]int{}
	for key, w := range b.waiting {
		waiting[key.Source] += w.objects
	}
	for source, objects := range b.bySource {
		m.desired.WithLabelValues(source).Set(float64(objects))
		m.waiting.WithLabelValues(source).Set(float64(waiting[source]))
	}
	for source, objects := range waiting {
		m.waiting.WithLabelValues(source).Set(float64(objects))
	}
}
