package consul

import (
	"net/url"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// transports is the evidence of one rule about the transport of an instance's port.
type transports struct{ udp, tcp bool }

// decides reports whether the evidence is unambiguous for UDP, and whether it decides at all: a port that also has TCP is a
// port for the mesh.
func (t transports) decides() (udp, ok bool) { return t.udp && !t.tcp, t.udp || t.tcp }

// add adds the evidence of the name of a protocol.
func (t *transports) add(protocol string) {
	protocol = strings.ToLower(strings.TrimSpace(protocol))
	t.udp = t.udp || catalog.IsUDP(protocol)
	t.tcp = t.tcp || slices.Contains(tcpTransports, protocol)
}

// tcpTransports are the protocols that say that a port has TCP. Protocols of applications such as dns and syslog do not.
var tcpTransports = []string{
	"grpc", "grpc-web", "grpcs", "h2", "h2c", "http", "http/1.1", "http/2", "http2", "https", "tcp", "tcp4", "tcp6", "tls", "ws", "wss",
}

// isUDP reports whether the own port of an instance is a UDP port. The first rule with a result applies; keys, tags and
// values are case-insensitive. An instance with evidence for both transports in one rule has TCP.
//
//  1. the end of the ID, as Registrator and Docker write it: host:container:53:udp, 53/udp
//  2. meta, then tags: protocol=udp, proto, transport, network, scheme, kind, port=53/udp
//  3. a bare tag: udp, 53/udp
//  4. the scheme of a URL in meta
//  5. configuration of a router in tags: traefik.udp.routers, fabio's proto=udp
//  6. the name of the default port among Consul's Ports
//  7. a check of the own port, or of a port that is unknown
//  8. the end or the beginning of the ID or the name: syslog-udp, udp_statsd
func isUDP(service string, i catalog.Instance) bool {
	for _, rule := range []func(catalog.Instance) transports{
		idTransport, metaTransport, tagTransport, bareTagTransport, urlTransport, routerTransport, portTransport, checkTransport,
	} {
		if udp, ok := rule(i).decides(); ok {
			return udp
		}
	}
	udp, _ := nameTransport(service, i.ID.ServiceID).decides()
	return udp
}

func idTransport(i catalog.Instance) (t transports) {
	if at := strings.LastIndexAny(i.ID.ServiceID, ":/"); at >= 0 {
		switch word := strings.ToLower(i.ID.ServiceID[at+1:]); word {
		case "udp", "tcp":
			t.add(word)
		}
	}
	return t
}

// transportKeys are the keys that name a protocol or a port, in lower case and with underscores.
var transportKeys = []string{"kind", "network", "port", "proto", "protocol", "scheme", "transport"}

// maxTransportText bounds the keys, values and tags that are inspected.
const maxTransportText = 64

// maxTransportTags bounds the tags of an instance that are inspected, like mesh does for labels.
const maxTransportTags = 256

func inspectedTags(i catalog.Instance) []string { return i.Tags[:min(len(i.Tags), maxTransportTags)] }

var underscores = strings.NewReplacer(".", "_", "-", "_")

// addEntry adds the evidence of a meta entry or of a tag of the form key=value.
func (t *transports) addEntry(key, value string) {
	if len(key) > maxTransportText || len(value) > maxTransportText {
		return
	}
	if slices.Contains(transportKeys, underscores.Replace(strings.ToLower(key))) {
		t.addPort(value)
	}
}

// addPort adds the evidence of a text of the form protocol, port/protocol or protocol/port.
func (t *transports) addPort(text string) {
	t.add(text)
	if before, after, found := strings.Cut(text, "/"); found && portNumber(before) != 0 {
		t.add(after)
	} else if found && portNumber(after) != 0 {
		t.add(before)
	}
}

func metaTransport(i catalog.Instance) (t transports) {
	for key, value := range i.Meta {
		t.addEntry(key, value)
	}
	return t
}

func tagTransport(i catalog.Instance) (t transports) {
	for _, tag := range inspectedTags(i) {
		if at := strings.IndexAny(tag, "=|"); at > 0 {
			t.addEntry(tag[:at], tag[at+1:])
		}
	}
	return t
}

func bareTagTransport(i catalog.Instance) (t transports) {
	for _, tag := range inspectedTags(i) {
		if len(tag) <= maxTransportText {
			t.addPort(strings.TrimPrefix(tag, "_")) // _udp as in SRV records
		}
	}
	return t
}

// urlTransport finds the transport in URLs with the own port, as Dubbo and go-kratos register them.
func urlTransport(i catalog.Instance) (t transports) {
	for _, value := range i.Meta {
		if len(value) > maxURL || !strings.Contains(value, "://") {
			continue
		}
		if u, err := url.Parse(value); err == nil && portNumber(u.Port()) == i.Port {
			t.add(u.Scheme)
		}
	}
	return t
}

func routerTransport(i catalog.Instance) (t transports) {
	for _, tag := range inspectedTags(i) {
		if !strings.ContainsAny(tag, ". ") { // most tags
			continue
		}
		lower := strings.ToLower(tag[:min(len(tag), maxURL)])
		if strings.HasPrefix(lower, catalog.FabioPrefix) {
			for _, name := range catalog.FabioProtocols(lower) {
				t.add(name)
			}
			continue
		}
		key, _, _ := strings.Cut(lower, "=")
		for _, transport := range []string{"udp", "tcp", "http"} {
			if strings.Contains(key, "."+transport+".routers.") || strings.Contains(key, "."+transport+".services.") {
				t.add(transport)
			}
		}
	}
	return t
}

func portTransport(i catalog.Instance) (t transports) {
	for _, port := range i.Ports {
		if !port.Default {
			continue
		}
		if t.add(port.Protocol); port.Protocol == "" {
			t = nameTransport(port.Name)
		}
	}
	return t
}

func checkTransport(i catalog.Instance) (t transports) {
	for _, check := range i.Checks {
		if check.Port != i.Port && check.Port != 0 {
			continue
		}
		switch check.Type {
		case "udp":
			t.udp = true
		case "tcp", "http", "grpc", "h2ping":
			t.tcp = true
		}
	}
	return t
}

// nameTransport returns the transport that the first or the last word of a name says.
func nameTransport(names ...string) (t transports) {
	for _, name := range names {
		for _, transport := range []string{"udp", "tcp"} {
			if at := len(name) - len(transport); at == 0 && strings.EqualFold(name, transport) ||
				at > 0 && strings.EqualFold(name[at:], transport) && isSeparator(name[at-1]) ||
				at > 0 && strings.EqualFold(name[:len(transport)], transport) && isSeparator(name[len(transport)]) {
				t.add(transport)
			}
		}
	}
	return t
}

func isSeparator(c byte) bool { return strings.IndexByte("-_.:/", c) >= 0 }
