package dns

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// service is what is answered for the hosts of one service. It is never changed after it was made.
type service struct {
	// hosts are those that it would have.
	hosts   []string
	virtual []netip.Addr
	// ports are those that a caller of a virtual address is told, by name; without a name, where he names none.
	ports      map[string]uint16
	datacenter string
	instances  []instance
}

// instance is one endpoint that takes traffic.
type instance struct {
	// ip is its address, or name is, with a dot at the end.
	ip     netip.Addr
	name   string
	ports  map[string]uint32
	weight uint16
}

// hasPort tells whether there is a port of this name; one without a name always is.
func (s *service) hasPort(name string) bool {
	_, ok := s.ports[name]
	return ok
}

// portOf returns the number of a port; without a name, of the instance's own.
func (i instance) portOf(name string) uint16 {
	if name == "" {
		return uint16(cmp.Or(i.ports[mesh.NativePort], i.ports[mesh.DefaultPort]))
	}
	return uint16(i.ports[name])
}

// newService returns what is answered of a service's objects, but for hosts that are left to others; nil where nothing is.
func newService(objects []mesh.Object, left []string) *service {
	made := &service{virtual: mesh.AddressesOf(objects)}
	var entry *networking.ServiceEntry
	for _, object := range objects {
		switch spec := object.Spec.(type) {
		case *networking.ServiceEntry:
			entry = spec
			made.datacenter = object.Annotations[mesh.DatacenterAnnotation]
			for _, host := range spec.Hosts {
				if !slices.Contains(left, host) {
					made.hosts = append(made.hosts, strings.ToLower(host)+".")
				}
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
	made.ports = callerPorts(entry.Ports)
	made.datacenter = strings.ToLower(made.datacenter)
	return made
}

// callerPorts are a service's ports by name. Where none is named, it is the instances' own where they agree on one, as in
// Consul's own answer; else the first port.
func callerPorts(ports []*networking.ServicePort) map[string]uint16 {
	numbers := map[string]uint16{"": 0}
	for i, port := range ports {
		number := uint16(port.Number)
		if i == 0 || port.Name == mesh.NativePort {
			numbers[""] = number
		}
		// What isthmus makes itself is none of Consul's: two dashes in a row mean a second number.
		if port.Name != mesh.DefaultPort && port.Name != mesh.NativePort && !strings.Contains(port.Name, "--") {
			numbers[port.Name] = number
		}
	}
	return numbers
}

func (s *service) add(endpoint *networking.WorkloadEntry) {
	made := instance{
		ports:  endpoint.Ports,
		weight: uint16(min(max(endpoint.Weight, 1), 1<<16-1)),
	}
	if ip, err := netip.ParseAddr(endpoint.Address); err == nil {
		made.ip = ip.Unmap()
	} else {
		made.name = strings.ToLower(endpoint.Address) + "."
	}
	s.instances = append(s.instances, made)
}
