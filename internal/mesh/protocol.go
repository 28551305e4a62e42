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
	var found []Protocol
	for _, e := range endpoints {
		if !slices.Contains(found, e.protocol) {
			found = append(found, e.protocol)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	slices.Sort(found)
	careful := TCP
	for _, family := range families {
		if !slices.ContainsFunc(found, func(p Protocol) bool { return !slices.Contains(family, p) }) {
			careful = family[0]
		}
	}
	report.service(MixedProtocols, fmt.Sprintf("instances disagree about the protocol %v; %s is taken", found, careful))
	return careful
}

func instanceProtocol(instance catalog.Instance, fallback Protocol, report *report) Protocol {
	if name := instance.Meta[protocolMeta]; name != "" {
		protocol, err := ParseProtocol(name)
		if err == nil {
			return protocol
		}
		report.instance(UnknownProtocol, instance, fmt.Sprintf("meta: %v; the entry is passed over", err))
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
