package dns

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// table holds the data that queries are answered from. One goroutine changes it, and any number of goroutines read the
// sync.Maps without waiting for each other. There is no mutex.
type table struct {
	// hosts maps each host, in lower case with a dot at the end, to its *service.
	hosts sync.Map
	// reverse maps each virtual address to its pointer.
	reverse sync.Map
	// ancestors holds the names above hosts. They exist although they have no records.
	ancestors sync.Map
	// datacenters holds the names of the datacenters that have services.
	datacenters sync.Map

	// services and the fields below belong to the goroutine that changes the table.
	services map[mesh.Name]*service
	// candidates are the services that declare a host, in the order of declaration. The first one owns the host.
	candidates map[string][]mesh.Name
	// hostsBelow is the number of hosts below a name.
	hostsBelow map[string]int
	// servicesIn is the number of services of a datacenter.
	servicesIn map[string]int
}

// pointer is the reverse record of a virtual address.
type pointer struct {
	host string
	// owner is the service that has the address.
	owner mesh.Name
}

func newTable() *table {
	return &table{
		services: map[mesh.Name]*service{}, candidates: map[string][]mesh.Name{},
		hostsBelow: map[string]int{}, servicesIn: map[string]int{},
	}
}

// find returns the service that owns a host; nil if there is none.
func (t *table) find(host string) *service {
	found, ok := t.hosts.Load(host)
	if !ok {
		return nil
	}
	return found.(*service)
}

// exists reports whether there is a host below a name.
func (t *table) exists(name string) bool {
	_, ok := t.ancestors.Load(name)
	return ok
}

func (t *table) hasDatacenter(name string) bool {
	_, ok := t.datacenters.Load(name)
	return ok
}

// hostAt returns the host of a virtual address; empty if no service has the address.
func (t *table) hostAt(address netip.Addr) string {
	found, _ := t.reverse.Load(address)
	at, _ := found.(pointer)
	return at.host
}

// set sets the desired objects of a service, without the yielded hosts. No objects remove the service. A host that another
// service owns stays with that service until it releases the host. Unchanged hosts are answered during the change.
func (t *table) set(name mesh.Name, objects []mesh.Object, yielded []string) {
	before, after := t.services[name], newService(objects, yielded)
	if before == nil {
		before = &service{}
	}
	t.services[name] = after
	if after == nil {
		delete(t.services, name)
		after = &service{}
	}
	t.countDatacenter(after.datacenter, 1)
	t.countDatacenter(before.datacenter, -1)
	for _, host := range after.hosts {
		t.declare(host, name)
	}
	for _, host := range before.hosts {
		if !slices.Contains(after.hosts, host) {
			t.release(host, name)
		}
	}
	for _, address := range before.virtual {
		if !slices.Contains(after.virtual, address) {
			t.removePointer(address, name)
		}
	}
	t.updatePointers(name)
}

// declare adds a service to the candidates of a host.
func (t *table) declare(host string, name mesh.Name) {
	candidates := t.candidates[host]
	if len(candidates) == 0 {
		t.countHost(host, 1)
	}
	if !slices.Contains(candidates, name) {
		if name.Tag != "" {
			t.countBelow(srvParent(host), 1)
		}
		candidates = append(candidates, name)
		t.candidates[host] = candidates
	}
	if candidates[0] == name {
		t.hosts.Store(host, t.services[name])
	}
}

// release removes a service from the candidates of a host. The next candidate becomes the owner.
func (t *table) release(host string, name mesh.Name) {
	if name.Tag != "" {
		t.countBelow(srvParent(host), -1)
	}
	owned := t.candidates[host][0] == name
	candidates := slices.DeleteFunc(t.candidates[host], func(n mesh.Name) bool { return n == name })
	t.candidates[host] = candidates
	switch {
	case len(candidates) == 0:
		delete(t.candidates, host)
		t.hosts.Delete(host)
		t.countHost(host, -1)
	case owned:
		t.hosts.Store(host, t.services[candidates[0]])
		t.updatePointers(candidates[0])
	}
}

// updatePointers points the virtual addresses of a service to the first host that it owns.
func (t *table) updatePointers(name mesh.Name) {
	service := t.services[name]
	if service == nil {
		return
	}
	owned := slices.IndexFunc(service.hosts, func(host string) bool { return t.candidates[host][0] == name })
	for _, address := range service.virtual {
		if owned < 0 {
			t.removePointer(address, name)
		} else {
			t.reverse.Store(address, pointer{service.hosts[owned], name})
		}
	}
}

// removePointer removes the pointer of an address, unless another service has the address now.
func (t *table) removePointer(address netip.Addr, owner mesh.Name) {
	if at, ok := t.reverse.Load(address); ok && at.(pointer).owner == owner {
		t.reverse.Delete(address)
	}
}

// countDatacenter adds to the number of services of a datacenter.
func (t *table) countDatacenter(name string, n int) {
	if name == "" {
		return
	}
	if t.servicesIn[name] += n; t.servicesIn[name] > 0 {
		t.datacenters.Store(name, nil)
	} else {
		delete(t.servicesIn, name)
		t.datacenters.Delete(name)
	}
}

// countHost adds to the number of hosts below each name above a host.
func (t *table) countHost(host string, n int) {
	for name := host; ; {
		_, parent, found := strings.Cut(name, ".")
		if !found || parent == "" {
			return
		}
		t.countBelow(parent, n)
		name = parent
	}
}

// countBelow adds to the number of hosts below a name.
func (t *table) countBelow(name string, n int) {
	if t.hostsBelow[name] += n; t.hostsBelow[name] > 0 {
		t.ancestors.Store(name, nil)
	} else {
		delete(t.hostsBelow, name)
		t.ancestors.Delete(name)
	}
}
