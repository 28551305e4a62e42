package mesh

import (
	"fmt"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// endpoint is an instance that Istio can hold.
type endpoint struct {
	instance *catalog.Instance
	entry    *networking.WorkloadEntry
	// port is the instance's own port, and protocol what it speaks there.
	port     uint32
	protocol Protocol
	// named are the ports that it has besides, by their names.
	named map[string]namedPort
	// byName says that the address is a host name, not an IP address.
	byName bool
	// takesTraffic is false for instances that are registered but must not be called. They still count for
	// what should stay the same while health comes and goes: ports, protocol and resolution.
	takesTraffic bool
}

// usableEndpoints are all instances with an address and a port, healthy or not, in the order of the catalog; they have
// no labels yet.
func usableEndpoints(service catalog.Service, options Options, report *report) []endpoint {
	endpoints := make([]endpoint, 0, len(service.Instances))
	for i := range service.Instances {
		if e, ok := usableEndpoint(&service.Instances[i], options, report); ok {
			endpoints = append(endpoints, e)
		}
	}
	return endpoints
}

func usableEndpoint(instance *catalog.Instance, options Options, report *report) (endpoint, bool) {
	address, byName, ok := usableAddress(*instance, options, report)
	switch {
	case !ok:
		return endpoint{}, false
	case !isPort(instance.Port):
		report.instance(BadPort, *instance, fmt.Sprintf("port %d is not within 1 and 65535; it is left out", instance.Port))
		return endpoint{}, false
	}
	weight, takesTraffic := trafficShare(*instance, options.PassingOnly)
	port, hints := uint32(instance.Port), hintsOf(*instance)
	named := namedPorts(*instance, hints, options, report)
	return endpoint{
		instance: instance,
		entry: &networking.WorkloadEntry{
			Address:  address,
			Ports:    endpointPorts(port, named, options),
			Locality: locality(*instance),
			Weight:   weight,
		},
		port:         port,
		protocol:     instanceProtocol(*instance, hints, options.DefaultProtocol, report),
		named:        named,
		byName:       byName,
		takesTraffic: takesTraffic,
	}, true
}

func isPort(number int) bool { return 1 <= number && number <= 65535 }

// usableAddress returns an instance's address, and whether it is a host name.
func usableAddress(instance catalog.Instance, options Options, report *report) (address string, byName, ok bool) {
	if instance.Address == "" {
		report.instance(NoAddress, instance, "neither the instance nor its node has an address; it is left out")
		return "", false, false
	}
	host, ip, err := parseAddress(instance.Address)
	if err != nil {
		report.instance(BadAddress, instance, fmt.Sprintf("%v; it is left out", err))
		return "", false, false
	}
	if err := options.Addresses.check(host, ip, options.ClusterDomain); err != nil {
		report.instance(ForbiddenAddress, instance, fmt.Sprintf("it is left out: %v", err))
		return "", false, false
	}
	if host != "" {
		return host, true, true
	}
	return ip.String(), false, true
}

// trafficShare returns the weight that an instance has by its health, and whether it takes traffic at all.
// Consul allows a warning weight of 0: no traffic while warning.
func trafficShare(instance catalog.Instance, passingOnly bool) (uint32, bool) {
	weight := 0
	switch instance.Health {
	case catalog.Passing:
		weight = max(instance.Weights.Passing, 1)
	case catalog.Warning:
		if !passingOnly {
			weight = instance.Weights.Warning
		}
	case catalog.Critical, catalog.Maintenance:
	}
	return uint32(min(max(weight, 0), maxWeight)), weight > 0
}

// maxWeight is the largest weight that Consul gives an instance (a DNS SRV weight, RFC 2782).
const maxWeight = 65535

// resolution is STATIC as long as all addresses are IP addresses. One host name among them makes Envoy resolve
// the names itself, which takes IP addresses as they are.
func resolution(endpoints []endpoint) networking.ServiceEntry_Resolution {
	for _, e := range endpoints {
		if e.byName {
			return networking.ServiceEntry_DNS
		}
	}
	return networking.ServiceEntry_STATIC
}
