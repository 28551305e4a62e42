package mesh

import (
	"fmt"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Protocol is the protocol of a port in Istio's notation (istio.io/istio/pkg/config/protocol).
type Protocol string

// The protocols that meta and configuration may name.
const (
	TCP   Protocol = "TCP"
	TLS   Protocol = "TLS"
	HTTPS Protocol = "HTTPS"
	HTTP  Protocol = "HTTP"
	HTTP2 Protocol = "HTTP2"
	GRPC  Protocol = "GRPC"
	// GRPCWeb is gRPC for browsers.
	GRPCWeb Protocol = "GRPC-WEB"
	Mongo   Protocol = "MONGO"
	MySQL   Protocol = "MYSQL"
	Redis   Protocol = "REDIS"
)

// Protocols lists all protocols.
var Protocols = []Protocol{TCP, TLS, HTTPS, HTTP, HTTP2, GRPC, GRPCWeb, Mongo, MySQL, Redis}

// ParseProtocol returns the protocol with a name, in any case.
func ParseProtocol(name string) (Protocol, error) {
	protocol := Protocol(strings.ToUpper(name))
	if slices.Contains(Protocols, protocol) {
		return protocol, nil
	}
	known := make([]string, len(Protocols))
	for i, p := range Protocols {
		known[i] = strings.ToLower(string(p))
	}
	return "", fmt.Errorf("protocol %q is unknown; use one of %s", clip(name), strings.Join(known, ", "))
}

// protocolMeta is the meta key that declares the protocol. It has precedence over all other hints.
const protocolMeta = "protocol"

// byCheck maps the types of Consul's checks to protocols, the most reliable hint first: a service with a gRPC check serves
// gRPC, while an HTTP check may belong to a service whose main protocol is another one.
var byCheck = []struct {
	check    string
	protocol Protocol
}{{"grpc", GRPC}, {"h2ping", HTTP2}, {"http", HTTP}, {"tcp", TCP}}

// families lists protocols with the same wire format; each can be treated as the first of its family.
var families = [][]Protocol{{HTTP, GRPCWeb}, {HTTP2, GRPC}}

// serviceProtocol returns the protocol that all instances have in common:
//
//	instances                  service
//	all the same               the same
//	HTTP and GRPC-WEB          HTTP
//	HTTP2 and GRPC             HTTP2
//	any other combination      TCP
//
// HTTP is not possible for a mix of HTTP/1.1 and HTTP/2: Envoy accepts both from callers, but Istio then uses HTTP/1.1
// towards the instances.
func serviceProtocol(endpoints []endpoint, report *report) Protocol {
	all := make([]Protocol, len(endpoints))
	for i, e := range endpoints {
		all[i] = e.protocol
	}
	return commonProtocol(all, "", report)
}

// commonProtocol returns the protocol that several protocols have in common, as in the table of serviceProtocol.
func commonProtocol(all []Protocol, port string, report *report) Protocol {
	var found []Protocol
	for _, protocol := range all {
		if !slices.Contains(found, protocol) {
			found = append(found, protocol)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	slices.Sort(found)
	taken := TCP
	for _, family := range families {
		if !slices.ContainsFunc(found, func(p Protocol) bool { return !slices.Contains(family, p) }) {
			taken = family[0]
		}
	}
	report.add(MixedProtocols, port, fmt.Sprintf("instances disagree about the protocol %v; the service gets %s", found, taken))
	return taken
}

// instanceProtocol returns the protocol of an instance's own port. The first hint applies:
//
//  1. meta "protocol"
//  2. meta or tag "secure" with the value true: HTTPS
//  3. the name of the default port among Consul's Ports
//  4. the types of its checks, see byCheck
//  5. the default protocol
func instanceProtocol(instance catalog.Instance, hints map[string]string, fallback Protocol, report *report) Protocol {
	if name := instance.Meta[protocolMeta]; name != "" {
		protocol, err := ParseProtocol(name)
		if err == nil {
			return protocol
		}
		report.instance(UnknownProtocol, instance, fmt.Sprintf("meta: %v; the entry is ignored", err))
	}
	if strings.EqualFold(hints[secureKey], "true") {
		return HTTPS
	}
	for _, port := range instance.Ports {
		if protocol, ok := protocolByName(cleanPortName(port.Name)); ok && port.Default {
			return protocol
		}
	}
	for _, hint := range byCheck {
		if slices.Contains(instance.Checks, hint.check) {
			return hint.protocol
		}
	}
	return fallback
}

// sharesHosts reports whether a ServiceEntry with a port of this protocol may have several hosts. Istio's validation rejects
// protocols whose connections do not identify the host.
func (p Protocol) sharesHosts() bool {
	return slices.Contains([]Protocol{HTTP, HTTP2, GRPC, GRPCWeb, HTTPS, TLS}, p)
}
