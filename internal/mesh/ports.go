package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
)

// The names of a ServiceEntry's ports. They don't say the protocol or the number, so that a WorkloadEntry
// stays as it is when its service's protocol or another instance's port changes.
const (
	// defaultPort is 80 (or 443, for HTTPS) for the caller, and the instance's own port at the instance: a caller
	// needs no port.
	defaultPort = "default"
	// nativePort is the instances' own port for the caller, and each instance's own at the instance.
	nativePort = "native"
	// alternateSuffix is behind the name of a port for the other number that callers may use while instances change theirs.
	// No name of a registry's holds two dashes in a row.
	alternateSuffix = "--2"

	httpNumber, httpsNumber = 80, 443
)

// callerPort returns the number that a caller needs not say.
func (p Protocol) callerPort() uint32 {
	if p == HTTPS {
		return httpsNumber
	}
	return httpNumber
}

// portSet is what a ServiceEntry's ports are made of. No number is there twice.
type portSet struct {
	ports []*networking.ServicePort
	// owner says which name has a number.
	owner map[uint32]string
}

// add returns false where another port has the number.
func (s *portSet) add(name string, number uint32, protocol Protocol) bool {
	if _, taken := s.owner[number]; taken {
		return false
	}
	if s.owner == nil {
		s.owner = map[uint32]string{}
	}
	s.owner[number] = name
	s.ports = append(s.ports, &networking.ServicePort{Number: number, Name: name, Protocol: string(protocol)})
	return true
}

// servicePorts are the ports that a caller may use: the one that he needs not say, the instances' own, and those that
// have names. Unhealthy instances count, so that the set stays the same while health comes and goes. With several hosts
// only protocols that tell them apart can be had.
func servicePorts(endpoints []endpoint, protocol Protocol, origination *TLSOrigination, options Options, severalHosts bool, report *report) []*networking.ServicePort {
	var set portSet
	set.add(defaultPort, origination.forCallers(protocol).callerPort(), origination.forCallers(protocol))
	if origination != nil {
		if protocol != TLS {
			protocol = HTTPS
		}
		set.add(tlsPort, httpsNumber, protocol)
		for _, e := range endpoints {
			e.entry.Ports[tlsPort] = e.port
		}
	}
	if !options.NoNativePort {
		own := make([]uint32, len(endpoints))
		for i, e := range endpoints {
			own[i] = e.port
		}
		numbers := slices.DeleteFunc(callerNumbers(own), func(number uint32) bool { return set.owner[number] != "" })
		for i, number := range numbers {
			set.add(ordinal(nativePort, i), number, protocol)
		}
	}
	for _, name := range portNames(endpoints) {
		addNamed(&set, name, endpoints, options, severalHosts, report)
	}
	return set.ports
}

// addNamed adds a port that has a name, once all instances have one: Istio would send callers of an instance without it
// to a port that isn't there.
func addNamed(set *portSet, name string, endpoints []endpoint, options Options, severalHosts bool, report *report) {
	numbers := make([]uint32, 0, len(endpoints))
	var protocols []Protocol
	for _, e := range endpoints {
		if port, ok := e.named[name]; ok {
			numbers = append(numbers, uint32(port.number))
			protocols = append(protocols, port.protocol)
		}
	}
	if len(numbers) < len(endpoints) {
		report.port(name, "not all instances have one, healthy or not; it is left out until all have")
		return
	}
	protocol := commonProtocol(protocols, "port "+name, report)
	if severalHosts && !protocol.sharesHosts() {
		report.port(name, fmt.Sprintf("Istio allows a port that speaks %s only where a service has one host; it is left out", protocol))
		return
	}
	forCallers := callerNumbers(numbers)
	if fixed := options.numberOf(name); fixed != 0 {
		forCallers = []uint32{fixed}
	} else if len(forCallers) == 0 {
		report.port(name, "every instance has another number, so callers can't know it; it is left out (mesh.ports gives it a number for all)")
	}
	for i, number := range forCallers {
		if !set.add(ordinal(name, i), number, protocol) && !sameEverywhere(endpoints, name, set.owner[number]) {
			report.port(name, fmt.Sprintf("%d is the number of port %q already; it is left out", number, set.owner[number]))
		}
	}
}

// sameEverywhere tells whether a port is what another one is at each instance.
func sameEverywhere(endpoints []endpoint, name, other string) bool {
	return !slices.ContainsFunc(endpoints, func(e endpoint) bool { return e.entry.Ports[name] != e.entry.Ports[other] })
}

// callerNumbers returns the numbers by which callers know a port that instances may have under different ones, sorted:
// two at most, the old and the new one while it changes, so that a rolling change adds one at its begin and takes one
// away at its end. A number that one instance alone has doesn't count where there are more than two: it was given by
// chance, no caller can know it, and it comes and goes with the instance. Of more than two, those that most have stay.
func callerNumbers(own []uint32) []uint32 {
	counts := map[uint32]int{}
	for _, number := range own {
		counts[number]++
	}
	numbers := slices.Collect(maps.Keys(counts))
	if len(numbers) > 2 {
		numbers = slices.DeleteFunc(numbers, func(number uint32) bool { return counts[number] < 2 })
	}
	slices.SortFunc(numbers, func(a, b uint32) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	numbers = numbers[:min(2, len(numbers))]
	slices.Sort(numbers)
	return numbers
}

// ordinal is the name of a port's first or second number.
func ordinal(name string, i int) string {
	if i == 0 {
		return name
	}
	return name + alternateSuffix
}

// endpointPorts are the ports of an instance under all names that a ServiceEntry may have for them, so that it need not
// be written anew when a number is added for the callers.
func endpointPorts(own uint32, named map[string]namedPort, options Options) map[string]uint32 {
	ports := map[string]uint32{defaultPort: own}
	if !options.NoNativePort {
		ports[nativePort], ports[nativePort+alternateSuffix] = own, own
	}
	for name, port := range named {
		ports[name] = uint32(port.number)
		if options.numberOf(name) == 0 {
			ports[name+alternateSuffix] = uint32(port.number)
		}
	}
	return ports
}

// portNames returns the names that any instance has a port for, sorted.
func portNames(endpoints []endpoint) []string {
	names := map[string]bool{}
	for _, e := range endpoints {
		for name := range e.named {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
