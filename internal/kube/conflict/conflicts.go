package conflict

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcome is the result of the resolution of a conflict.
type Outcome string

const (
	// Kept means that the service keeps the host or the address.
	Kept Outcome = "kept"
	// Yielded means that the service leaves the host or the address to the foreign object.
	Yielded Outcome = "yielded"
)

// maxConflicts limits how many conflicts Detector.Conflicts returns. The metrics count all.
const maxConflicts = 100

// Conflict is a host or a virtual address that a service and a foreign object both have.
type Conflict struct {
	// Service is the service's name in the mesh.
	Service string `json:"service"`
	// Host is set for a conflict over a host.
	Host string `json:"host,omitempty"`
	// Address is set for a conflict over a virtual address.
	Address netip.Addr `json:"address,omitzero"`
	// Object is the kind, the namespace and the name of the foreign object.
	Object string `json:"object"`
	// Outcome says which of the two keeps the host or the address.
	Outcome Outcome `json:"outcome"`
}

// sameSubject reports whether two conflicts differ at most in their outcome.
func (c Conflict) sameSubject(other Conflict) bool {
	return c.Host == other.Host && c.Address == other.Address && c.Object == other.Object
}

func (c Conflict) compare(other Conflict) int {
	return cmp.Or(strings.Compare(c.Service, other.Service), strings.Compare(c.Host, other.Host),
		c.Address.Compare(other.Address), strings.Compare(c.Object, other.Object))
}

// Conflicts returns the conflicts of all services, sorted by service, and their count. It returns at most 100 of them.
func (d *Detector) Conflicts() (first []Conflict, count int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, conflicts := range d.conflicts {
		first = append(first, conflicts...)
	}
	slices.SortFunc(first, Conflict.compare)
	return first[:min(len(first), maxConflicts)], len(first)
}

// Clear drops all conflicts. A replica that no longer leads calls it, because the leader reports them.
func (d *Detector) Clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, conflicts := range d.conflicts {
		for _, c := range conflicts {
			d.options.Metrics.add(c, -1)
		}
	}
	clear(d.conflicts)
}

// record replaces the conflicts of a service, and logs those that began and those that ended.
func (d *Detector) record(service Service, now []Conflict) {
	d.mu.Lock()
	before := d.conflicts[service.Name]
	if d.conflicts[service.Name] = now; len(now) == 0 {
		delete(d.conflicts, service.Name)
	}
	d.mu.Unlock()
	for _, c := range now {
		d.options.Metrics.add(c, 1)
		if !slices.Contains(before, c) {
			d.logBegin(c)
		}
	}
	for _, c := range before {
		d.options.Metrics.add(c, -1)
		if !slices.ContainsFunc(now, c.sameSubject) {
			d.logEnd(c)
		}
	}
}

func (d *Detector) logBegin(c Conflict) {
	switch {
	case c.Address.IsValid():
		d.options.Log.Warn("virtual address conflict: another object has the same address, connections may reach either",
			"service", c.Service, "address", c.Address, "object", c.Object)
	case c.Outcome == Yielded:
		d.options.Log.Warn("host conflict: host owned by an older object, skipping it until it is free",
			"service", c.Service, "host", c.Host, "object", c.Object)
	default:
		d.options.Log.Warn("host conflict: another object declares the same host, callers may reach either",
			"service", c.Service, "host", c.Host, "object", c.Object)
	}
}

func (d *Detector) logEnd(c Conflict) {
	if c.Address.IsValid() {
		d.options.Log.Info("virtual address conflict ended", "service", c.Service, "address", c.Address, "object", c.Object)
		return
	}
	d.options.Log.Info("host conflict ended", "service", c.Service, "host", c.Host, "object", c.Object)
}

// Metrics count conflicts.
type Metrics struct {
	hosts     *prometheus.GaugeVec
	addresses prometheus.Gauge
}

// NewMetrics returns registered metrics.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		hosts: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isthmus_kubernetes_host_conflicts",
			Help: "Number of hosts that a service and a foreign ServiceEntry or Service both have, by outcome: " +
				"kept by the service, or yielded to the foreign object.",
		}, []string{"outcome"}),
		addresses: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "isthmus_kubernetes_address_conflicts",
			Help: "Number of virtual addresses that a service and a foreign object both have, alone or in a range.",
		}),
	}
	registerer.MustRegister(m.hosts, m.addresses)
	return m
}

func (m *Metrics) add(c Conflict, count float64) {
	if c.Address.IsValid() {
		m.addresses.Add(count)
		return
	}
	m.hosts.WithLabelValues(string(c.Outcome)).Add(count)
}
