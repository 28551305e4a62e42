package detect

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Query is the blocking query of a service or a watch.
type Query interface {
	// Refresh reads the content.
	Refresh()
	// Interrupt ends the poll in flight. The query sends it again.
	Interrupt()
}

// ServiceQuery is the blocking query of a service.
type ServiceQuery interface {
	Query
	// Observe compares an index from another request with that of the last response.
	Observe(index uint64)
}

// Detector finds out which services changed.
type Detector struct {
	Config
	instances *instanceIndex
	budget    *budget
	scanner   *scanner

	// mu guards the fields below. See the package comment for its place in the lock order.
	mu sync.Mutex
	// services are the services that are followed, by name.
	services map[string]*Service
	// watches are the queries of health watches and node watches, by their query IDs.
	watches map[string]Query
	// nodeWatches end the watch of each node.
	nodeWatches map[string]context.CancelFunc
	// oversubscribed means that there are more services than connections.
	oversubscribed bool
	// started means that the watches and the scanner run.
	started bool
}

// New returns a Detector that watches every service until there are more services than connections.
func New(config Config) *Detector {
	d := &Detector{
		Config: config, instances: newInstanceIndex(), budget: newBudget(),
		services: map[string]*Service{}, watches: map[string]Query{}, nodeWatches: map[string]context.CancelFunc{},
	}
	d.scanner = newScanner(d)
	return d
}

// Add begins to follow a service. It is unwatched until Admit or Promote.
func (d *Detector) Add(s *Service) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.services[s.name] = s
}

// Remove stops following a service. The instances are those that it had last.
func (d *Detector) Remove(s *Service, instances []catalog.Instance) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.budget.remove(s)
	d.instances.update(s.name, instances, nil)
	delete(d.services, s.name)
	d.checkCapacity()
}

// Resize follows a change of the pool size.
func (d *Detector) Resize() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.demote(d.budget.resize(d.capacity()))
}

// Update follows a change of the number of services. It starts the watches and the scanner when they are needed first. They
// keep running: Consul wakes them with every change, so they cost little when they are not needed.
func (d *Detector) Update(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkCapacity()
	if !d.oversubscribed || d.started {
		return
	}
	d.started = true
	d.demote(d.budget.resize(d.capacity()))
	d.watchHealth(ctx, "critical")
	d.watchHealth(ctx, "warning")
	d.watchNodes(ctx)
	d.Go(func() { d.scanner.run(ctx) })
	d.setMaxStaleness()
}

// capacity returns how many services may be watched. Node watches reserve half as many connections again: the connection of
// an ended watch is free only after a while, and a service in its place must not take the connection of another watch.
func (d *Detector) capacity() int {
	size := d.Polls.Size()
	if !d.started {
		return size
	}
	return max(0, size-changeWatches-len(d.nodeWatches)-(len(d.nodeWatches)+1)/2)
}

// checkCapacity decides whether there are unwatched services. The way back has a margin, so that the log does not repeat when
// one service comes and goes.
func (d *Detector) checkCapacity() {
	services, capacity := len(d.services), d.capacity()
	before := d.oversubscribed
	d.oversubscribed = services > capacity || before && services > capacity*9/10
	switch {
	case d.oversubscribed && !before:
		d.Log.Info(MessageOversubscribed, "services", services, "limit", capacity, "hint", hintOversubscribed)
	case before && !d.oversubscribed:
		for _, s := range d.services {
			d.budget.admit(s)
		}
		d.Log.Info("watching each service again", "services", services, "limit", capacity)
	}
	d.setMaxStaleness()
}

// MessageOversubscribed is logged when there are more services than connections.
const (
	MessageOversubscribed = "more services than connections, watching only recently changed services"
	hintOversubscribed    = "to see each change at once, use HTTPS or raise connections"
)

// Admit watches a service if a connection is free.
func (d *Detector) Admit(s *Service) { d.budget.admit(s) }

// Promote watches a service that changed, in place of the service whose last change is the oldest.
func (d *Detector) Promote(s *Service) {
	s.changedAt.Store(time.Now().UnixNano())
	d.demote(d.budget.promote(s))
}

// demote ends the polls of services that are no longer watched. Their index is queried, because a response may have been on
// its way.
func (d *Detector) demote(services []*Service) {
	for _, s := range services {
		s.query.Interrupt()
	}
	if len(services) != 0 {
		d.scanner.queue(services)
	}
}

// DemoteAll makes every service unwatched. Tests use it to create unwatched services.
func (d *Detector) DemoteAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.demote(d.budget.resize(0))
	d.budget.resize(d.capacity())
}

// unwatched returns the unwatched services. The latest change comes first: that service most likely changes again.
func (d *Detector) unwatched() []*Service {
	d.mu.Lock()
	defer d.mu.Unlock()
	var services []*Service
	for _, s := range d.services {
		if !s.Watched() {
			services = append(services, s)
		}
	}
	slices.SortFunc(services, func(a, b *Service) int { return cmp.Compare(b.changedAt.Load(), a.changedAt.Load()) })
	return services
}

// MarkChanged reads the named services that are unwatched. A watched service's own poll returns.
func (d *Detector) MarkChanged(names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range names {
		if s := d.services[name]; s != nil && !s.Watched() {
			s.query.Refresh()
		}
	}
}

// ListChanged is called with the index of a changed list. The poll was held if Consul returned it because of this change.
func (d *Detector) ListChanged(index uint64, held bool) {
	d.mu.Lock()
	started := d.started
	d.mu.Unlock()
	if started {
		d.scanner.listChanged(index, held)
	}
}

// Attribute is called with the index of a service's response: the change with that index is known.
func (d *Detector) Attribute(index uint64) { d.scanner.attribute(index) }

// Refresh reads everything that the watches watch and scans, because Consul has another state.
func (d *Detector) Refresh() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.watches {
		q.Refresh()
	}
	d.scanner.retry(true)
}

// RetryFailing retries the watches and the scan that fail, because Consul answers again.
func (d *Detector) RetryFailing() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, q := range d.watches {
		if d.Query.Failures.Failing(id) {
			q.Refresh()
		}
	}
	d.scanner.retry(false)
}

// Interrupt sends the polls of the watches again, because the credentials changed.
func (d *Detector) Interrupt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.watches {
		q.Interrupt()
	}
}

// InstancesChanged records the instances of a service. A service that lost an instance to another service is read again, and
// so is the other one: of two responses that have the instance, the later one can be the older state.
func (d *Detector) InstancesChanged(before, after catalog.Service) {
	previous := d.instances.update(after.Name, before.Instances, after.Instances)
	if len(previous) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Log.Debug("instances moved to another service", "services", previous, "service", after.Name)
	for _, name := range append(previous, after.Name) {
		if s := d.services[name]; s != nil {
			s.query.Refresh()
		}
	}
}

// ServicesOn returns the services with an instance on the node; only those with the service ID if one is given.
func (d *Detector) ServicesOn(node, serviceID string) []string {
	return d.instances.servicesOn(node, serviceID)
}
