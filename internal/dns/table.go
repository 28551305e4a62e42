package dns

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// table holds what is answered, by name. One goroutine changes it; any number reads it, and none waits for another.
type table struct {
	// hosts hold a *service for each host, in lower case with a dot at the end; reverse a pointer for each virtual address.
	hosts, reverse sync.Map
	// above hold the names above hosts, which exist though nothing is at them.
	above sync.Map
	// datacenters hold the names of all that services are of.
	datacenters sync.Map

	held map[mesh.Name]*service
	// claims are the services that would have a host, in the order in which they came: the first has it.
	claims map[string][]mesh.Name
	// below is how many hosts there are below a name.
	below map[string]int
	// within is how many services a datacenter has.
	within map[string]int
}

// pointer is what a virtual address is called, and whose it is.
type pointer struct {
	host  string
	owner mesh.Name
}

func newTable() *table {
	return &table{held: map[mesh.Name]*service{}, claims: map[string][]mesh.Name{}, below: map[string]int{}, within: map[string]int{}}
}

func (t *table) find(host string) *service {
	found, ok := t.hosts.Load(host)
	if !ok {
		return nil
	}
	return found.(*service)
}

// exists tells whether there is a name below this one.
func (t *table) exists(name string) bool {
	_, ok := t.above.Load(name)
	return ok
}

func (t *table) hasDatacenter(name string) bool {
	_, ok := t.datacenters.Load(name)
	return ok
}

func (t *table) hostAt(address netip.Addr) string {
	found, _ := t.reverse.Load(address)
	at, _ := found.(pointer)
	return at.host
}

// set takes what the mesh should hold for a service, but for hosts that are left to others; nothing of it stays where
// that is empty. A host that another service has stays that one's until it lets go. What stays is answered all the while.
func (t *table) set(name mesh.Name, objects []mesh.Object, left []string) {
	before, after := t.held[name], newService(objects, left)
	if before == nil {
		before = &service{}
	}
	t.held[name] = after
	if after == nil {
		delete(t.held, name)
		after = &service{}
	}
	t.countDatacenter(after.datacenter, 1)
	t.countDatacenter(before.datacenter, -1)
	for _, host := range after.hosts {
		t.claim(host, name)
	}
	for _, host := range before.hosts {
		if !slices.Contains(after.hosts, host) {
			t.release(host, name)
		}
	}
	for _, address := range before.virtual {
		if !slices.Contains(after.virtual, address) {
			t.unname(address, name)
		}
	}
	t.nameAddresses(name)
}

// claim gives a host to a service, or has it wait for it.
func (t *table) claim(host string, name mesh.Name) {
	claims := t.claims[host]
	if len(claims) == 0 {
		t.count(host, 1)
	}
	if !slices.Contains(claims, name) {
		claims = append(claims, name)
		t.claims[host] = claims
	}
	if claims[0] == name {
		t.hosts.Store(host, t.held[name])
	}
}

// release takes a host from a service, and gives it to the one that has waited longest.
func (t *table) release(host string, name mesh.Name) {
	had := t.claims[host][0] == name
	claims := slices.DeleteFunc(t.claims[host], func(n mesh.Name) bool { return n == name })
	t.claims[host] = claims
	switch {
	case len(claims) == 0:
		delete(t.claims, host)
		t.hosts.Delete(host)
		t.count(host, -1)
	case had:
		t.hosts.Store(host, t.held[claims[0]])
		t.nameAddresses(claims[0])
	}
}

// nameAddresses calls a service's virtual addresses by the first host that it has.
func (t *table) nameAddresses(name mesh.Name) {
	service := t.held[name]
	if service == nil {
		return
	}
	has := slices.IndexFunc(service.hosts, func(host string) bool { return t.claims[host][0] == name })
	for _, address := range service.virtual {
		if has < 0 {
			t.unname(address, name)
		} else {
			t.reverse.Store(address, pointer{service.hosts[has], name})
		}
	}
}

// unname forgets what an address is called, unless it is another service's by now.
func (t *table) unname(address netip.Addr, owner mesh.Name) {
	if at, ok := t.reverse.Load(address); ok && at.(pointer).owner == owner {
		t.reverse.Delete(address)
	}
}

// countDatacenter says that a datacenter has more services, or fewer.
func (t *table) countDatacenter(name string, more int) {
	if name == "" {
		return
	}
	if t.within[name] += more; t.within[name] > 0 {
		t.datacenters.Store(name, nil)
	} else {
		delete(t.within, name)
		t.datacenters.Delete(name)
	}
}

// count says that there are more hosts, or fewer, below all names above a host.
func (t *table) count(host string, more int) {
	for name := host; ; {
		_, parent, found := strings.Cut(name, ".")
		if !found || parent == "" {
			return
		}
		if t.below[parent] += more; t.below[parent] > 0 {
			t.above.Store(parent, nil)
		} else {
			delete(t.below, parent)
			t.above.Delete(parent)
		}
		name = parent
	}
}
