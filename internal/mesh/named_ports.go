package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// NamedPort is a port that instances have beside their own by their meta or tags: gRPC_port, grpc-port or gRPC.port for
// the name "grpc". Libraries write it in all of these ways, and Consul's meta takes no dots.
type NamedPort struct {
	// Name is a DNS label.
	Name string
	// Protocol is what the port speaks where the instance doesn't say it.
	Protocol Protocol
	// Number is the port for callers; 0 for the instances' own.
	Number uint32
}

// DefaultPorts are the ports that widespread libraries register: those of gRPC servers in Spring Boot (grpc-spring:
// meta gRPC_port, in 2.4 the tag gRPC.port), and Spring Boot's management (Spring Boot Admin reads management.port).
func DefaultPorts() []NamedPort {
	return []NamedPort{{Name: "grpc", Protocol: GRPC}, {Name: "management", Protocol: HTTP}}
}

// maxPorts is how many named ports an instance may have.
const maxPorts = 16

// CheckPortName tells what is wrong with the name of a NamedPort.
func CheckPortName(name string) error {
	switch {
	case !isDNSLabel(name), cleanPortName(name) != name:
		return fmt.Errorf("%q is no name of a port: small letters, digits and single dashes, %d at most", name, maxPortName)
	case name == defaultPort, name == nativePort:
		return fmt.Errorf("%q is a port that isthmus makes itself", name)
	}
	return nil
}

// namedPort is a port as an instance has it.
type namedPort struct {
	number   int
	protocol Protocol
}

// namedPorts are the ports of an instance that have a name: Consul's own, and those of its meta and tags.
func namedPorts(instance catalog.Instance, hints map[string]string, options Options, report *report) map[string]namedPort {
	if len(instance.Ports) == 0 && len(hints) == 0 {
		return nil
	}
	ports := map[string]namedPort{}
	for _, port := range instance.Ports {
		name := cleanPortName(port.Name)
		switch {
		case port.Default:
		case CheckPortName(name) != nil:
			report.instance(BadPort, instance, fmt.Sprintf("port %q can't have that name; it is left out", clip(port.Name)))
		default:
			addPort(ports, name, namedPort{port.Number, options.protocolOf(name)}, instance, report)
		}
	}
	for _, port := range options.Ports {
		if text := hints[hintKey(port.Name, portKey)]; text != "" {
			number, _ := strconv.Atoi(text) // 0, which is no port, where it is no number
			addPort(ports, port.Name, namedPort{number, port.Protocol}, instance, report)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ports)) {
		text := hints[hintKey(name, protocolMeta)]
		if text == "" {
			continue
		}
		protocol, err := ParseProtocol(text)
		if err != nil {
			report.instance(UnknownProtocol, instance, fmt.Sprintf("port %q: %v; the entry is passed over", name, err))
			continue
		}
		ports[name] = namedPort{ports[name].number, protocol}
	}
	return ports
}

// addPort adds a port unless there is one of its name.
func addPort(ports map[string]namedPort, name string, port namedPort, instance catalog.Instance, report *report) {
	_, known := ports[name]
	switch {
	case known:
	case !isPort(port.number):
		report.instance(BadPort, instance, fmt.Sprintf("port %q is not within 1 and 65535; it is left out", name))
	case len(ports) == maxPorts:
		report.instance(BadPort, instance, fmt.Sprintf("an instance may have %d named ports; %q and those behind it are left out", maxPorts, name))
	default:
		ports[name] = port
	}
}

// maxPortName leaves room for what stands behind a name.
const maxPortName = maxLabel - len(alternateSuffix)

var toDashes = strings.NewReplacer(".", "-", "_", "-")

// cleanPortName makes the name of a port of what a registry has.
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

// protocolOf is what a port speaks by its name: as the configuration says, else as Istio reads names of ports, the
// protocol first ("grpc-admin"), else what services speak by default.
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

// protocolByName returns the protocol that a port's name begins with.
func protocolByName(name string) (longest Protocol, ok bool) {
	for _, protocol := range Protocols {
		prefix := strings.ToLower(string(protocol))
		if (name == prefix || strings.HasPrefix(name, prefix+"-")) && len(protocol) > len(longest) {
			longest = protocol
		}
	}
	return longest, longest != ""
}

// numberOf is the number that the configuration gives a port for callers; 0 where it gives none.
func (o Options) numberOf(name string) uint32 {
	for _, port := range o.Ports {
		if port.Name == name {
			return port.Number
		}
	}
	return 0
}
