package mesh

import (
	networking "istio.io/api/networking/v1alpha3"
)

// The names of a ServiceEntry's ports. They don't say the protocol or the number, so that a WorkloadEntry
// stays as it is when its service's protocol or another instance's port changes.
const (
	// defaultPort is 80 for the caller, and the instance's own port at the instance: a caller needs no port.
	defaultPort = "default"
	// nativePort is the instance's own port for caller and instance.
	nativePort = "native"

	defaultPortNumber = 80
)

// servicePorts are the ports a caller may use: 80 always, and the instances' own port while they all have the
// same. Unhealthy instances count, so that the set stays the same while health comes and goes.
func servicePorts(endpoints []endpoint, protocol Protocol) []*networking.ServicePort {
	ports := []*networking.ServicePort{{Number: defaultPortNumber, Name: defaultPort, Protocol: string(protocol)}}
	native := endpoints[0].port
	for _, e := range endpoints {
		if e.port != native {
			return ports
		}
	}
	if native != defaultPortNumber {
		ports = append(ports, &networking.ServicePort{Number: native, Name: nativePort, Protocol: string(protocol)})
	}
	return ports
}
