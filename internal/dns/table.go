package dns

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"sync"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// service is what is answered for the hosts of one service. It is never changed after it was made.
type service struct {
	hosts   []string
	virtual []netip.Addr
	// port is the one that a caller of a virtual address is told.
	port       uint16
	datacenter string
	instances  []instance
}

// instance is one endpoint that takes traffic.
type instance struct {
	// ip is its address, or name is, with a dot at the end.
	ip     netip.Addr
	name   string
	port   uint16
	weight uint16
}

// table holds what is answered, by name. One goroutine changes it; any number reads it, and none waits for another.
type table struct {
	// hosts hold a *service for each host, in lower case with a dot at the end; reverse the first host of each virtual
	// address.
	hosts, reverse sync.Map
	// above hold the names above hosts, which exist though nothing is at them.
	above sync.Map

	held map[mesh.Name]*service
	// owners are who has a host, below is how many hosts there are below a name.
	owners map[string]mesh.Name
	below  map[string]int
}

func newTable() *table {
	return &table{held: map[mesh.Name]*service{}, owners: map[string]mesh.Name{}, below: map[string]int{}}
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

func (t *table) hostAt(address netip.Addr) string {
	host, _ := t.reverse.Load(address)
	text, _ := host.(string)
	return text
}

// set takes what the mesh should hold for a service; nothing of it stays where that is empty. A host that another
// service has stays that one's. What stays is answered all the while.
func (t *table) set(name mesh.Name, objects []mesh.Object) {
	before, after := t.held[name], newService(objects)
	var hosts []string
	if after != nil {
		for _, host := range after.hosts {
			if owner, taken := t.owners[host]; taken && owner != name {
				continue
			}
			t.owners[host] = name
			t.count(host, 1)
			t.hosts.Store(host, after)
			hosts = append(hosts, host)
		}
		after.hosts = hosts
		t.held[name] = after
		for _, address := range after.virtual {
			if len(hosts) > 0 {
				t.reverse.Store(address, hosts[0])
			}
		}
	} else {
		delete(t.held, name)
	}
	if before != nil {
		t.forget(before, after)
	}
}

// forget takes out what a service had before and has no more.
func (t *table) forget(before, after *service) {
	if len(before.hosts) == 0 {
		return // another service had them
	}
	for _, host := range before.hosts {
		t.count(host, -1)
		if after == nil || !slices.Contains(after.hosts, host) {
			t.hosts.Delete(host)
			delete(t.owners, host)
		}
	}
	for _, address := range before.virtual {
		if after == nil || !slices.Contains(after.virtual, address) {
			// It may be another service's by now.
			t.reverse.CompareAndDelete(address, before.hosts[0])
		}
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

// newService returns what is answered of a service's objects; nil where there are none.
func newService(objects []mesh.Object) *service {
	made := &service{virtual: mesh.AddressesOf(objects)}
	var entry *networking.ServiceEntry
	for _, object := range objects {
		switch spec := object.Spec.(type) {
		case *networking.ServiceEntry:
			entry = spec
			made.datacenter = object.Annotations[mesh.DatacenterAnnotation]
			for _, host := range spec.Hosts {
				made.hosts = append(made.hosts, strings.ToLower(host)+".")
			}
			for _, endpoint := range spec.Endpoints {
				made.add(endpoint)
			}
		case *networking.WorkloadEntry:
			made.add(spec)
		}
	}
	if entry == nil || len(made.hosts) == 0 {
		return nil
	}
	made.port = callerPort(entry.Ports)
	return made
}

// callerPort is the instances' own port where they agree on one, as in Consul's own answer; else the first port.
func callerPort(ports []*networking.ServicePort) uint16 {
	for _, port := range ports {
		if port.Name == mesh.NativePort {
			return uint16(port.Number)
		}
	}
	if len(ports) == 0 {
		return 0
	}
	return uint16(ports[0].Number)
}

func (s *service) add(endpoint *networking.WorkloadEntry) {
	made := instance{
		port:   uint16(cmp.Or(endpoint.Ports[mesh.NativePort], endpoint.Ports[mesh.DefaultPort])),
		weight: uint16(min(max(endpoint.Weight, 1), 1<<16-1)),
	}
	if ip, err := netip.ParseAddr(endpoint.Address); err == nil {
		made.ip = ip.Unmap()
	} else {
		made.name = strings.ToLower(endpoint.Address) + "."
	}
	s.instances = append(s.instances, made)
}
