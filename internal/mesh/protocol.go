package mesh

import (
	"fmt"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Protocol is a protocol of a port, in Istio's letters (istio.io/istio/pkg/config/protocol).
type Protocol string

// The protocols that a service's meta, or the configuration, may name.
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

// Protocols are all protocols, for checks and messages.
var Protocols = []Protocol{TCP, TLS, HTTPS, HTTP, HTTP2, GRPC, GRPCWeb, Mongo, MySQL, Redis}

// ParseProtocol finds a protocol by its name in any case.
func ParseProtocol(name string) (Protocol, error) {
	protocol := Protocol(strings.ToUpper(name))
	if slices.Contains(Protocols, protocol) {
		return protocol, nil
	}
	known := make([]string, len(Protocols))
	for i, p := range Protocols {
		known[i] = strings.ToLower(string(p))
	}
	return "", fmt.Errorf("protocol %q is not one of %s", clip(name), strings.Join(known, ", "))
}

// protocolMeta is the meta entry that says a service's protocol. It goes before all other hints.
const protocolMeta = "protocol"

// byCheck are the protocols that Consul's own checks speak, the surest hint first: who registers a gRPC
// check serves gRPC, while an HTTP check may be there for a service that speaks something else besides.
var byCheck = []struct {
	check    string
	protocol Protocol
}{{"grpc", GRPC}, {"h2ping", HTTP2}, {"http", HTTP}, {"tcp", TCP}}

// families are protocols that share a wire format: what speaks any of them can be taken for the first.
var families = [][]Protocol{{HTTP, GRPCWeb}, {HTTP2, GRPC}}

// serviceProtocol is what all instances agree on. Where they don't, it is the one that all of them can be taken
// for: TCP where they share no more. HTTP would do for HTTP/1.1 and HTTP/2 both towards the caller, but Istio then
// speaks HTTP/1.1 to the instance.
func serviceProtocol(endpoints []endpoint, report *report) Protocol {
	all := make([]Protocol, len(endpoints))
	for i, e := range endpoints {
		all[i] = e.protocol
	}
	return commonProtocol(all, "", report)
}

// careful returns the protocol that all of them can be taken for.
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
	report.add(MixedProtocols, port, fmt.Sprintf("instances disagree about the protocol %v; %s is taken", found, taken))
	return taken
}

// instanceProtocol is what an instance speaks at its own port: what its meta says; HTTPS, where it says that it is
// secure; what the name of its default port says; what its checks speak; the fallback.
func instanceProtocol(instance catalog.Instance, hints map[string]string, fallback Protocol, report *report) Protocol {
	if name := instance.Meta[protocolMeta]; name != "" {
		protocol, err := ParseProtocol(name)
		if err == nil {
			return protocol
		}
		report.instance(UnknownProtocol, instance, fmt.Sprintf("meta: %v; the entry is passed over", err))
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

// sharesHosts tells whether a ServiceEntry with ports of this protocol may have more than one host. Istio's
// validation refuses it where a connection doesn't say which host it means.
func (p Protocol) sharesHosts() bool {
	return slices.Contains([]Protocol{HTTP, HTTP2, GRPC, GRPCWeb, HTTPS, TLS}, p)
}
