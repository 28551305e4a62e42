package mesh

import (
	"fmt"
	"slices"
	"strings"
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
	if protocol, ok := findProtocol(name); ok {
		return protocol, nil
	}
	known := make([]string, len(Protocols))
	for i, p := range Protocols {
		known[i] = strings.ToLower(string(p))
	}
	return "", fmt.Errorf("protocol %q is unknown; use one of %s", clip(name), strings.Join(known, ", "))
}

// findProtocol returns the protocol with a name, in any case. The translation looks up several names for each instance, most of
// them without a result, so it makes no error.
func findProtocol(name string) (Protocol, bool) {
	for _, protocol := range Protocols {
		if strings.EqualFold(name, string(protocol)) {
			return protocol, true
		}
	}
	return "", false
}

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
// towards the instances. Instances with a provisional protocol count only if there are no others.
func serviceProtocol(endpoints []endpoint, report *report) Protocol {
	var certain, provisional []Protocol
	for _, e := range endpoints {
		if e.provisional {
			provisional = append(provisional, e.protocol)
		} else {
			certain = append(certain, e.protocol)
		}
	}
	if len(certain) == 0 {
		certain = provisional
	}
	return commonProtocol(certain, "", report)
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

// sharesHosts reports whether a ServiceEntry with a port of this protocol may have several hosts. Istio's validation rejects
// protocols whose connections do not identify the host.
func (p Protocol) sharesHosts() bool {
	return slices.Contains([]Protocol{HTTP, HTTP2, GRPC, GRPCWeb, HTTPS, TLS}, p)
}
