package conflict

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Options configure a Detector.
type Options struct {
	Parser
	// Notify has a service reconciled again, because a foreign object affects it. It returns at once.
	Notify func(name mesh.Name)
	Log    *slog.Logger
	// Metrics count the conflicts.
	Metrics *Metrics
}

// Detector keeps the conflicts of all services, and reports yielded hosts and foreign addresses to the engine. Every
// replica detects yielded hosts, because its other outputs need them; only the leader records conflicts.
type Detector struct {
	options Options
	index   *Index

	// mu guards all fields below. Lock order: mu, then the engine's mailbox, because reports of yielded hosts must
	// reach the engine in the order in which they were found. The index is locked without mu.
	mu        sync.Mutex
	conflicts map[mesh.Name][]Conflict
	// yielded are the hosts that each service yields.
	yielded map[mesh.Name][]string
	// feedback is nil until the engine listens.
	feedback contract.Feedback
	// synced reports whether all foreign objects are known.
	synced bool
}

// NewDetector returns a detector that knows no foreign objects.
func NewDetector(options Options) *Detector {
	return &Detector{
		options: options, index: newIndexes(),
		conflicts: map[mesh.Name][]Conflict{}, yielded: map[mesh.Name][]string{},
	}
}

// Listen reports all yielded hosts and foreign addresses to the engine, and every change from then on.
func (d *Detector) Listen(feedback contract.Feedback) {
	d.mu.Lock()
	d.feedback = feedback
	if len(d.yielded) > 0 {
		feedback.ReportConflicts(contract.Conflicts{YieldedHosts: maps.Clone(d.yielded)})
	}
	d.mu.Unlock()
	d.reportAddresses()
}

// MarkSynced notes that all foreign objects are known.
func (d *Detector) MarkSynced() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.synced = true
}

// ForeignAddresses returns the virtual addresses of all foreign objects, sorted.
func (d *Detector) ForeignAddresses() []netip.Prefix { return d.index.Addresses() }

// Update replaces the state of a foreign object, and has the services that it affects reconciled.
func (d *Detector) Update(foreign Foreign) {
	affected, addressesChanged := d.index.Update(foreign)
	if addressesChanged {
		d.reportAddresses()
	}
	for _, name := range affected {
		d.options.Notify(name)
	}
}

// reportAddresses lets the engine know that foreign addresses changed. Before all of them are known there is no report:
// the engine reads them when it loads its snapshot.
func (d *Detector) reportAddresses() {
	d.mu.Lock()
	feedback, synced := d.feedback, d.synced
	d.mu.Unlock()
	if feedback != nil && synced {
		feedback.ReportConflicts(contract.Conflicts{ForeignAddresses: d.ForeignAddresses})
	}
}

// Resolve returns the desired objects of a service without the hosts that it yields, and nil if no host is left. It
// records the conflicts of the service.
func (d *Detector) Resolve(service Service) []mesh.Object {
	conflicts := d.ResolveHosts(service)
	yielded := yieldedHosts(conflicts)
	d.record(service, append(conflicts, d.resolveAddresses(service)...))
	return dropHosts(service.Desired, yielded)
}

// ResolveHosts returns the conflicts over the hosts of a service, and reports the hosts that it yields to the engine.
// It records no conflict, so a standby replica can call it.
func (d *Detector) ResolveHosts(service Service) []Conflict {
	var conflicts []Conflict
	if foreign := d.index.SetHosts(service.Name, hostsOf(service)); len(service.Desired) > 0 {
		conflicts = resolveHosts(service, foreign)
	}
	d.reportYielded(service.Name, yieldedHosts(conflicts))
	return conflicts
}

func (d *Detector) resolveAddresses(service Service) []Conflict {
	return resolveAddresses(service, d.index.SetAddresses(service.Name, mesh.AddressesOf(service.Desired)))
}

// reportYielded lets the engine know which hosts a service yields, if they changed.
func (d *Detector) reportYielded(name mesh.Name, hosts []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Equal(d.yielded[name], hosts) {
		return
	}
	if d.yielded[name] = hosts; len(hosts) == 0 {
		delete(d.yielded, name)
	}
	if d.feedback != nil {
		d.feedback.ReportConflicts(contract.Conflicts{YieldedHosts: map[mesh.Name][]string{name: hosts}})
	}
}

// EvictAddresses has the engine assign other addresses to a service in place of those that it yields. It reports
// whether there were any; then the desired objects of the service have changed.
//
// It waits until the engine has taken the report, because the desired objects before that have an address to which
// istiod sends the foreign object's connections, and must not be written. Requeueing the service instead would depend
// on a change of its desired objects, which does not come if they have already changed. The wait is short and cannot
// deadlock: the engine's loop never waits for an output.
func (d *Detector) EvictAddresses(ctx context.Context, service Service) bool {
	d.mu.Lock()
	feedback := d.feedback
	d.mu.Unlock()
	var lost []netip.Addr
	for _, c := range d.resolveAddresses(service) {
		if c.Outcome == Yielded && feedback != nil {
			d.options.Log.Warn("virtual address conflict: address owned by an older object, assigning another",
				"service", c.Service, "address", c.Address, "object", c.Object)
			lost = append(lost, c.Address)
		}
	}
	if len(lost) == 0 {
		return false
	}
	select {
	case <-feedback.ReportConflicts(contract.Conflicts{LostAddresses: map[mesh.Name][]netip.Addr{service.Name: lost}}):
	case <-ctx.Done():
	}
	return true
}
