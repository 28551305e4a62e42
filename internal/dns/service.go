package dns

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// service holds the data that answers are made of for the hosts of one service. It never changes.
type service struct {
	// hosts are the hosts that the service declares. Another service may own some of them.
	hosts []string
	// virtual are the virtual addresses.
	virtual []netip.Addr
	// ports are the ports at the virtual addresses by name. The empty name is the default port.
	ports      map[string]uint16
	datacenter string
	instances  []instance
}

// instance is an endpoint that accepts traffic.
type instance struct {
	// ip is the address of the instance, if it is an IP address.
	ip netip.Addr
	// name is the address of the instance, if it is a host name. It ends with a dot.
	name   string
	ports  map[string]uint32
	weight uint16
}

// hasPort reports whether the service has a port of this name. Each service has the empty name.
func (s *service) hasPort(name string) bool {
	_, ok := s.ports[name]
	return ok
}

// portOf returns the number of a port. The empty name is the registered port of the instance.
func (i instance) portOf(name string) uint16 {
	if name == "" {
		return uint16(cmp.Or(i.ports[mesh.NativePort], i.ports[mesh.DefaultPort]))
	}
	return uint16(i.ports[name])
}

// newService returns the service of the objects, without the yielded hosts. It returns nil if no host is left.
func newService(objects []mesh.Object, yielded []string) *service {
	s := &service{virtual: mesh.AddressesOf(objects)}
	var entry *networking.ServiceEntry
	for _, object := range objects {
		switch spec := object.Spec.(type) {
		case *networking.ServiceEntry:
			entry = spec
			s.datacenter = object.Annotations[mesh.DatacenterAnnotation]
			for _, host := range spec.Hosts {
				if !slices.Contains(yielded, host) {
					s.hosts = append(s.hosts, strings.ToLower(host)+".")
				}
			}
			for _, endpoint := range spec.Endpoints {
				s.add(endpoint)
			}
		case *networking.WorkloadEntry:
			s.add(spec)
		}
	}
	if entry == nil || len(s.hosts) == 0 {
		return nil
	}
	s.ports = portsByName(entry.Ports)
	s.datacenter = strings.ToLower(s.datacenter)
	return s
}

// portsByName returns the numbers of the ports by name. The empty name is the registered port of the instances if they
// have the same one, as in Consul's answers, and the first port otherwise.
func portsByName(ports []*networking.ServicePort) map[string]uint16 {
	numbers := map[string]uint16{"": 0}
	for i, port := range ports {
		number := uint16(port.Number)
		if i == 0 || port.Name == mesh.NativePort {
			numbers[""] = number
		}
		// Consul does not know the ports that isthmus adds. Two consecutive dashes mark a further number of a port.
		if port.Name != mesh.DefaultPort && port.Name != mesh.NativePort && !strings.Contains(port.Name, "--") {
			numbers[port.Name] = number
		}
	}
	return numbers
}

// add adds the instance of an endpoint.
func (s *service) add(endpoint *networking.WorkloadEntry) {
	i := instance{
		ports:  endpoint.Ports,
		weight: uint16(min(max(endpoint.Weight, 1), 1<<16-1)),
	}
	if ip, err := netip.ParseAddr(endpoint.Address); err == nil {
		i.ip = ip.Unmap()
	} else {
		i.name = strings.ToLower(endpoint.Address) + "."
	}
	s.instances = append(s.instances, i)
}
