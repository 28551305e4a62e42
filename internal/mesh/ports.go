package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
)

// The names of a ServiceEntry's ports. They contain neither protocol nor number, so a WorkloadEntry does not change with
// the protocol of its service or with the port of another instance.
//
//	name         number for callers            number at the instance
//	default      80; 443 for HTTPS             its own port
//	native       the own port of the most      its own port
//	native--2    the second most common one    its own port
//	default--tls 443, with TLS origination     its own port
//	NAME         the named port, or as set     its port of that name
//	NAME--2      the second most common one    its port of that name
const (
	// defaultPort is the port of callers that name none.
	defaultPort = "default"
	// nativePort is the own port of the instances.
	nativePort = "native"
	// alternateSuffix is the suffix of a port's name for the second number that callers may use while instances change theirs.
	// Port names from a registry contain no two dashes in a row.
	alternateSuffix = "--2"

	httpNumber, httpsNumber = 80, 443
)

// callerPort returns the protocol's port number in URLs without one.
func (p Protocol) callerPort() uint32 {
	if p == HTTPS {
		return httpsNumber
	}
	return httpNumber
}

// portSet collects the ports of a ServiceEntry. Numbers are unique.
type portSet struct {
	ports []*networking.ServicePort
	// owner holds the port name of each number.
	owner map[uint32]string
}

// add adds a port. It returns false if another port has the number.
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

// servicePorts returns the ports for callers. All instances count, healthy or not, so the ports do not change with health.
// With several hosts, only protocols that identify the host are possible.
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

// addNamed adds a named port if all instances have it: Istio would send calls to instances without it to a closed port.
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
		report.port(name, "some instances, healthy or not, lack the port; it is skipped until all have it")
		return
	}
	protocol := commonProtocol(protocols, "port "+name, report)
	if severalHosts && !protocol.sharesHosts() {
		report.port(name, fmt.Sprintf("Istio allows a port with protocol %s only for services with one host; it is skipped", protocol))
		return
	}
	forCallers := callerNumbers(numbers)
	if fixed := options.numberOf(name); fixed != 0 {
		forCallers = []uint32{fixed}
	} else if len(forCallers) == 0 {
		report.port(name, "each instance has a different number, so callers cannot know it; the port is skipped (set a number in mesh.ports)")
	}
	for i, number := range forCallers {
		if !set.add(ordinal(name, i), number, protocol) && !sameEverywhere(endpoints, name, set.owner[number]) {
			report.port(name, fmt.Sprintf("port %[2]q already has the number %[1]d; the port is skipped", number, set.owner[number]))
		}
	}
}

// sameEverywhere reports whether two ports have the same number at each instance.
func sameEverywhere(endpoints []endpoint, name, other string) bool {
	return !slices.ContainsFunc(endpoints, func(e endpoint) bool { return e.entry.Ports[name] != e.entry.Ports[other] })
}

// callerNumbers returns the numbers by which callers know a port, sorted. Instances may have different numbers:
//
//	numbers among the instances   numbers for callers
//	one or two                    all: the old and the new one during a roll-out
//	more                          the two most common ones that at least two instances have
//
// A roll-out thus adds one number at its start and removes one at its end. If there are more than two numbers, one that a
// single instance has is random: callers cannot know it, and it comes and goes with the instance.
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

// ordinal returns the name of a port's first or second number.
func ordinal(name string, i int) string {
	if i == 0 {
		return name
	}
	return name + alternateSuffix
}

// endpointPorts returns the ports of an instance under all names that its ServiceEntry may use, so that it does not change
// when callers get another number.
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

// portNames returns the names of all ports of the instances, sorted.
func portNames(endpoints []endpoint) []string {
	names := map[string]bool{}
	for _, e := range endpoints {
		for name := range e.named {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
