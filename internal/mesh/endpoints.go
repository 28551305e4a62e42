package mesh

import (
	"cmp"
	"fmt"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// endpoint is an instance that Istio can represent.
type endpoint struct {
	instance *catalog.Instance
	entry    *networking.WorkloadEntry
	// port is the instance's own port.
	port uint32
	// protocol is the protocol of the own port.
	protocol Protocol
	// provisional is true if the protocol may change once the checks have run.
	provisional bool
	// named holds the named ports.
	named map[string]namedPort
	// byName is true if the address is a host name.
	byName bool
	// takesTraffic is false for instances that must not be called. They still determine the ports, the protocol and the
	// resolution, so that these do not change with health.
	takesTraffic bool
}

// usableEndpoints returns all instances with a usable address and port, healthy or not, in the order of the catalog. Of
// several registrations with the same address and port, only the newest counts. Registrations that are ports of one endpoint
// are one instance, which has the ID, the labels, the weight and the health of the registration of the main port. The labels
// are not set yet.
func usableEndpoints(service catalog.Service, options Options, report *report) []endpoint {
	endpoints := make([]endpoint, 0, len(service.Instances))
	group := catalog.Group(service.Instances)
	additional := additionalPorts(service, group, options, report)
	for i := range service.Instances {
		if newest, ok := group.Superseded[i]; ok {
			report.superseded(service.Instances[i], service.Instances[newest])
			continue
		}
		if _, ok := group.Additional[i]; ok {
			continue
		}
		if name, ok := group.Unassigned[i]; ok {
			report.unassigned(service.Instances[i], name, group.MainPort)
			continue
		}
		if e, ok := usableEndpoint(service.Key, &service.Instances[i], additional[i], options, report); ok {
			endpoints = append(endpoints, e)
		}
	}
	for _, i := range group.Alike {
		report.alike(service.Instances[i])
	}
	for _, i := range group.Guessed {
		report.guessed(service.Instances[i], group.MainPort)
	}
	return withoutNames(endpoints, report)
}

// usableEndpoint returns the endpoint of an instance with its additional ports; false if its address or port cannot be used.
func usableEndpoint(service catalog.Key, instance *catalog.Instance, additional map[string]namedPort, options Options, report *report) (endpoint, bool) {
	address, byName, ok := usableAddress(*instance, options, report)
	switch {
	case !ok:
		return endpoint{}, false
	case !isPort(instance.Port):
		report.instance(BadPort, *instance, fmt.Sprintf("port %d is not in the range 1-65535; the instance is skipped", instance.Port))
		return endpoint{}, false
	}
	weight, takesTraffic := trafficShare(*instance, options.PassingOnly)
	port, hints := uint32(instance.Port), hintsOf(*instance)
	named := namedPorts(*instance, additional, hints, options, report)
	protocol, provisional := instanceProtocol(service.Name, *instance, hints, options.DefaultProtocol, report)
	return endpoint{
		instance: instance,
		entry: &networking.WorkloadEntry{
			Address:  address,
			Ports:    endpointPorts(port, named, options),
			Locality: options.locality(cmp.Or(instance.Source, service.Source), *instance),
			Weight:   weight,
			Network:  options.Networks.of(service, instance, address),
		},
		port:         port,
		protocol:     protocol,
		provisional:  provisional,
		named:        named,
		byName:       byName,
		takesTraffic: takesTraffic,
	}, true
}

func isPort(number int) bool { return 1 <= number && number <= 65535 }

// usableAddress returns the address of an instance, and whether it is a host name.
func usableAddress(instance catalog.Instance, options Options, report *report) (address string, byName, ok bool) {
	if instance.Address == "" {
		report.instance(NoAddress, instance, "neither the instance nor its node has an address; the instance is skipped")
		return "", false, false
	}
	host, ip, err := parseAddress(instance.Address)
	if err != nil {
		report.instance(BadAddress, instance, fmt.Sprintf("%v; the instance is skipped", err))
		return "", false, false
	}
	if err := options.Addresses.check(host, ip, options.ClusterDomain); err != nil {
		report.instance(ForbiddenAddress, instance, fmt.Sprintf("the instance is skipped: %v", err))
		return "", false, false
	}
	if host != "" {
		return host, true, true
	}
	return ip.String(), false, true
}

// trafficShare returns the weight of an instance for its health, and whether it takes traffic. Consul allows a warning
// weight of 0, which means no traffic while warning.
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

// maxWeight is Consul's maximum weight of an instance (a DNS SRV weight, RFC 2782).
const maxWeight = 65535
