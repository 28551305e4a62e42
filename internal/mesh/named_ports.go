package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// NamedPort is a port that instances declare by meta or tags in addition to their own port: gRPC_port, grpc-port or
// gRPC.port for the name "grpc". Libraries use all of these spellings, and keys of Consul's meta cannot contain dots.
type NamedPort struct {
	// Name is a DNS label.
	Name string
	// Protocol applies if the instance does not declare one.
	Protocol Protocol
	// Number is the port for callers; 0 means the number at the instances.
	Number uint32
}

// DefaultPorts returns the ports that widespread libraries register: those of gRPC servers in Spring Boot (grpc-spring:
// meta gRPC_port, from 2.4 the tag gRPC.port), of Spring Boot's management (Spring Boot Admin reads management.port), and of
// Dapr's sidecars (meta DAPR_PORT, the port by which sidecars call each other).
func DefaultPorts() []NamedPort {
	return []NamedPort{{Name: "grpc", Protocol: GRPC}, {Name: "management", Protocol: HTTP}, {Name: "dapr", Protocol: GRPC}}
}

// maxPorts is the maximum number of named ports of an instance.
const maxPorts = 16

// CheckPortName returns an error if a NamedPort cannot have a name.
func CheckPortName(name string) error {
	switch {
	case !isDNSLabel(name), cleanPortName(name) != name:
		return fmt.Errorf("%q is not a valid port name: use at most %[2]d lower-case letters, digits and single dashes", name, maxPortName)
	case name == defaultPort, name == nativePort:
		return fmt.Errorf("%q is reserved for a port of isthmus; use another name", name)
	}
	return nil
}

// namedPort is a named port of an instance.
type namedPort struct {
	number   int
	protocol Protocol
}

// namedPorts returns the named ports of an instance: those of additional registrations, Consul's own, and those that its meta
// and tags declare.
func namedPorts(instance catalog.Instance, ports map[string]namedPort, hints map[string]string, options Options, report *report) map[string]namedPort {
	if len(instance.Ports) == 0 && len(hints) == 0 {
		return ports
	}
	if ports == nil {
		ports = map[string]namedPort{}
	}
	for _, port := range instance.Ports {
		name := cleanPortName(port.Name)
		switch {
		case port.Default:
		case port.Address != "":
			report.instance(BadPort, instance, fmt.Sprintf("port %q is at another address, %q; the port is skipped", clip(port.Name), clip(port.Address)))
		case isUDPPort(name, port.Protocol, hints):
			report.udpPort(instance, port.Name)
		case CheckPortName(name) != nil:
			report.instance(BadPort, instance, fmt.Sprintf("port %q has an invalid or reserved name; the port is skipped", clip(port.Name)))
		default:
			addPort(ports, name, namedPort{port.Number, options.protocolOfPort(name, port.Protocol)}, instance, report)
		}
	}
	for _, port := range options.Ports {
		text := hints[hintKey(port.Name, portKey)]
		switch {
		case text == "":
		case isUDPPort(port.Name, "", hints):
			report.udpPort(instance, port.Name)
		default:
			number, _ := strconv.Atoi(text) // 0 if the text is not a number
			addPort(ports, port.Name, namedPort{number, port.Protocol}, instance, report)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ports)) {
		text := hints[hintKey(name, protocolMeta)]
		if text == "" {
			continue
		}
		protocol, ok := registeredProtocol(text)
		if !ok {
			_, err := ParseProtocol(text)
			report.instance(UnknownProtocol, instance, fmt.Sprintf("port %q: %v; the entry is ignored", name, err))
			continue
		}
		ports[name] = namedPort{ports[name].number, protocol}
	}
	return ports
}

// isUDPPort reports whether a named port is a UDP port: its protocol is declared so, or else a word of its name says so.
func isUDPPort(name, declared string, hints map[string]string) bool {
	if protocol := cmp.Or(hints[hintKey(name, protocolMeta)], declared); protocol != "" {
		return catalog.IsUDP(protocol)
	}
	words := strings.Split(name, "-")
	return catalog.IsUDP(words[0]) || catalog.IsUDP(words[len(words)-1])
}

// addPort adds a port unless one with the same name exists.
func addPort(ports map[string]namedPort, name string, port namedPort, instance catalog.Instance, report *report) {
	_, known := ports[name]
	switch {
	case known:
	case !isPort(port.number):
		report.instance(BadPort, instance, fmt.Sprintf("port %q is not in the range 1-65535; the port is skipped", name))
	case len(ports) == maxPorts:
		report.instance(BadPort, instance, fmt.Sprintf("the limit is %d named ports for each instance; %q and the following ones are skipped", maxPorts, name))
	default:
		ports[name] = port
	}
}

// maxPortName leaves room for alternateSuffix.
const maxPortName = maxLabel - len(alternateSuffix)

var toDashes = strings.NewReplacer(".", "-", "_", "-")

// cleanPortName converts a name in the registry to a port name; the result is empty if that is impossible.
func cleanPortName(text string) string {
	if len(text) > maxRaw {
		return ""
	}
	clean := strings.ToLower(toDashes.Replace(cleanName(text)))
	for strings.Contains(clean, "--") {
		clean = strings.ReplaceAll(clean, "--", "-")
	}
	if len(clean) > maxPortName {
		return ""
	}
	return clean
}

// protocolOf returns the protocol of a port by its name: that of the configuration, else the prefix of the name as Istio
// reads it ("grpc-admin"), else the default protocol.
func (o Options) protocolOf(name string) Protocol {
	for _, port := range o.Ports {
		if port.Name == name {
			return port.Protocol
		}
	}
	if protocol, ok := protocolByName(name); ok {
		return protocol
	}
	return o.DefaultProtocol
}

// protocolOfPort returns the protocol of a port that may declare one. An unknown protocol is TCP, because it is not HTTP.
func (o Options) protocolOfPort(name, declared string) Protocol {
	if declared == "" {
		return o.protocolOf(name)
	}
	if protocol, ok := registeredProtocol(declared); ok {
		return protocol
	}
	return TCP
}

// protocolByName returns the protocol that is the prefix of a port's name.
func protocolByName(name string) (longest Protocol, ok bool) {
	for _, protocol := range Protocols {
		prefix := strings.ToLower(string(protocol))
		if (name == prefix || strings.HasPrefix(name, prefix+"-")) && len(protocol) > len(longest) {
			longest = protocol
		}
	}
	return longest, longest != ""
}

// numberOf returns the configured number of a port for callers; 0 if there is none.
func (o Options) numberOf(name string) uint32 {
	for _, port := range o.Ports {
		if port.Name == name {
			return port.Number
		}
	}
	return 0
}
