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
