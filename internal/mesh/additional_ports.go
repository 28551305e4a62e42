package mesh

import (
	"cmp"
	"fmt"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// untaggedPort is the name of an additional port without a tag.
const untaggedPort = "untagged"

// additionalPorts returns the ports that registrations add to the endpoints of other registrations, by the index of the
// registration with the main port.
func additionalPorts(service catalog.Service, group catalog.Grouping, options Options, report *report) map[int]map[string]namedPort {
	if len(group.Additional) == 0 {
		return nil
	}
	ports := make(map[int]map[string]namedPort, len(group.Additional))
	for i := range service.Instances {
		additional, ok := group.Additional[i]
		if !ok {
			continue
		}
		instance := service.Instances[i]
		name := cleanPortName(cmp.Or(additional.Name, untaggedPort))
		if CheckPortName(name) != nil {
			report.instance(BadPort, instance, fmt.Sprintf("port %q has an invalid or reserved name; the port is skipped", clip(additional.Name)))
			continue
		}
		protocol, _ := instanceProtocol(service.Name, instance, hintsOf(instance), options.protocolOf(name), report)
		if ports[additional.Main] == nil {
			ports[additional.Main] = map[string]namedPort{}
		}
		addPort(ports[additional.Main], name, namedPort{instance.Port, protocol}, instance, report)
	}
	return ports
}

// unassigned adds a finding about a registration that is a port of no endpoint.
func (r *report) unassigned(instance catalog.Instance, name, mainPort string) {
	which := "nothing tells which of the service's ports the registration is"
	if name != "" {
		which = fmt.Sprintf("the registration is port %q, but no registration of the main port, %s, is at its address", clip(name), quotedPort(mainPort))
	}
	r.instance(PortWithoutEndpoint, instance, which+"; the registration is skipped")
}

// quotedPort returns the name of a main port for a finding.
func quotedPort(name string) string {
	if name == "" {
		return "which has no tag of its own"
	}
	return fmt.Sprintf("%q", clip(name))
}

// alike adds a finding about an address with several registrations that nothing tells apart.
func (r *report) alike(instance catalog.Instance) {
	r.instance(AmbiguousPorts, instance, fmt.Sprintf(
		"address %s has several registrations, and no tag tells their ports apart: each is an instance, and callers reach any of them "+
			"(if they are different ports, register a tag or the meta entry %s for each)", clip(instance.Address), catalog.PortKey,
	))
}

// guessed adds a finding about a registration that has the main port for want of a hint.
func (r *report) guessed(instance catalog.Instance, mainPort string) {
	r.instance(AmbiguousPorts, instance, fmt.Sprintf(
		"the service has several ports, and no tag tells which one the registration is: it counts as the main port, %s", quotedPort(mainPort),
	))
}
