package mesh

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// instanceProtocol returns the protocol of an instance's own port. The first rule with a result applies. Keys, tags and
// values are case-insensitive.
//
//  1. meta or tag "protocol": a known name; an unknown one is a finding
//  2. meta or tag "secure" with the value true: HTTPS
//  3. meta or tag "scheme", then "kind": a known name
//  4. meta or tag "grpc" with the value true or the own port: GRPC
//  5. a bare tag that names a transport, for example grpc or h2c, unless there are several
//  6. configuration of a router in tags: fabio's proto=, Traefik's loadbalancer.server.scheme=
//  7. the scheme of meta "url" or "uri" with the own port, or of a tagged address that is a URL with the own port
//  8. the name of the default port among Consul's Ports
//  9. the protocol of Consul's service-defaults: a known name; an unknown one is a finding
//  10. a check of the own port: gRPC, HTTP/2 ping, HTTP, TCP over TLS
//  11. the suffix -grpc of the service's name
//  12. meta "external-source" with the value vault: TCP, because Vault usually serves TLS and does not register that
//  13. a well-known number: TCP, HTTPS for 443 and 8443
//  14. a TCP check of the own port
//  15. a check whose port is unknown, by its type
//  16. the default protocol
//
// A check of another port is no evidence. Rule 15 gives a provisional result: an agent publishes the port of a check only
// once the check has run.
func instanceProtocol(service string, instance catalog.Instance, hints map[string]string, fallback Protocol, report *report) (protocol Protocol, provisional bool) {
	if known, ok := findProtocol(instance.Protocol); ok {
		return known, false
	}
	if declared, by := declaredProtocol(instance, hints, report); declared != "" {
		reportContradiction(instance, declared, by, report)
		return declared, false
	}
	if configured := configuredProtocol(instance, report); configured != "" {
		return configured, false
	}
	own := func(c catalog.Check) bool { return c.Port == instance.Port }
	if protocol, ok := checkedProtocol(instance.Checks, own); ok && protocol != TCP {
		if protocol == HTTPS && strings.EqualFold(hints[secureKey], "false") {
			report.instance(ContradictoryProtocol, instance, `"secure" is false, but a check of the port uses HTTPS; HTTPS applies`)
		}
		return protocol, false
	}
	switch {
	case hasSuffixWord(service, "grpc"):
		return GRPC, false
	case strings.EqualFold(instance.Meta[externalSourceMeta], "vault"), tcpPorts[instance.Port]:
		return TCP, false
	case tlsPorts[instance.Port]:
		return HTTPS, false
	}
	if protocol, ok := checkedProtocol(instance.Checks, own); ok {
		return protocol, false
	}
	unknown := func(c catalog.Check) bool { return c.Port == 0 }
	if protocol, ok := checkedProtocol(instance.Checks, unknown); ok {
		return protocol, true
	}
	return fallback, false
}

// configuredProtocol returns the protocol of Consul's service-defaults; empty if there is none or its name is unknown.
func configuredProtocol(instance catalog.Instance, report *report) Protocol {
	if instance.ServiceProtocol == "" {
		return ""
	}
	protocol, ok := registeredProtocol(instance.ServiceProtocol)
	if !ok {
		_, err := ParseProtocol(instance.ServiceProtocol)
		report.service(UnknownProtocol, fmt.Sprintf("service-defaults: %v; the entry is ignored", err))
		return ""
	}
	reportContradiction(instance, protocol, "the service-defaults of Consul", report)
	return protocol
}

// externalSourceMeta is the meta key by which programs that register services identify themselves.
const externalSourceMeta = "external-source"

// hasSuffixWord reports whether a name ends in a separator and a word.
func hasSuffixWord(name, word string) bool {
	at := len(name) - len(word) - 1
	return at > 0 && strings.ContainsRune("-._", rune(name[at])) && strings.EqualFold(name[at+1:], word)
}

// declaredProtocol returns the protocol that the registration itself declares (rules 1 to 8), and the declaration.
func declaredProtocol(instance catalog.Instance, hints map[string]string, report *report) (protocol Protocol, by string) {
	if name := hints[protocolMeta]; name != "" {
		if protocol, ok := registeredProtocol(name); ok {
			return protocol, quoted(protocolMeta, name)
		}
		_, err := ParseProtocol(name)
		report.instance(UnknownProtocol, instance, fmt.Sprintf("%v; the entry is ignored", err))
	}
	if strings.EqualFold(hints[secureKey], "true") {
		return HTTPS, quoted(secureKey, hints[secureKey])
	}
	for _, key := range []string{schemeKey, kindKey} {
		if protocol, ok := registeredProtocol(hints[key]); ok {
			return protocol, quoted(key, hints[key])
		}
	}
	if value := hints[grpcKey]; strings.EqualFold(value, "true") || value != "" && value == strconv.Itoa(instance.Port) {
		return GRPC, quoted(grpcKey, value)
	}
	for _, find := range []func(catalog.Instance) (Protocol, string){bareTagProtocol, routerProtocol, urlProtocol} {
		if protocol, by := find(instance); protocol != "" {
			return protocol, by
		}
	}
	for _, port := range instance.Ports {
		if protocol, ok := registeredProtocol(port.Protocol); ok && port.Number == instance.Port && port.Address == "" {
			return protocol, quoted("port", port.Name)
		}
	}
	for _, port := range instance.Ports {
		if protocol, ok := protocolByName(cleanPortName(port.Name)); ok && port.Default {
			return protocol, quoted("port", port.Name)
		}
	}
	return "", ""
}

// quoted returns a declaration for a finding.
func quoted(key, value string) string { return fmt.Sprintf("%q with the value %q", key, clip(value)) }

// transportTags are bare tags that name the protocol of a port. Names of applications such as redis are no evidence: the tag
// may also mean that the service uses that application.
var transportTags = map[string]Protocol{
	"grpc": GRPC, "grpcs": HTTPS, "grpc-web": GRPCWeb, "http": HTTP, "https": HTTPS, "http2": HTTP2, "h2c": HTTP2, "tcp": TCP, "tls": TLS, "dubbo": TCP,
}

// bareTagProtocol returns the protocol that bare tags name, unless they name several.
func bareTagProtocol(instance catalog.Instance) (protocol Protocol, by string) {
	for _, tag := range inspectedTags(instance) {
		switch named := transportTags[strings.ToLower(tag)]; {
		case named == "" || named == protocol:
		case protocol != "":
			return "", ""
		default:
			protocol, by = named, fmt.Sprintf("tag %q", tag)
		}
	}
	return protocol, by
}

// routerProtocol returns the protocol that tags declare to a router in front of the service:
//
//	fabio     urlprefix-/path proto=https
//	Traefik   traefik.http.services.NAME.loadbalancer.server.scheme=https; traefik.protocol=https in version 1
//
// Traefik's scheme is ignored if its configuration names another port than the instance's own.
func routerProtocol(instance catalog.Instance) (Protocol, string) {
	scheme, port := "", strconv.Itoa(instance.Port)
	for _, tag := range inspectedTags(instance) {
		lower := strings.ToLower(tag)
		key, value, _ := strings.Cut(lower, "=")
		switch {
		case strings.HasPrefix(lower, catalog.FabioPrefix):
			for _, name := range catalog.FabioProtocols(lower) {
				if protocol, ok := registeredProtocol(name); ok {
					return protocol, quoted("proto", name)
				}
			}
		case strings.HasSuffix(key, ".loadbalancer.server.scheme"), key == "traefik.protocol":
			scheme = value
		case strings.HasSuffix(key, ".loadbalancer.server.port"), key == "traefik.port":
			port = value
		}
	}
	if protocol, ok := registeredProtocol(scheme); ok && port == strconv.Itoa(instance.Port) {
		return protocol, quoted(schemeKey, scheme)
	}
	return "", ""
}

// urlProtocol returns the protocol of a URL in meta, as Dubbo registers it, if the URL has the instance's own port.
func urlProtocol(instance catalog.Instance) (Protocol, string) {
	for _, key := range []string{"url", "uri"} {
		text := instance.Meta[key]
		if text == "" || len(text) > maxRaw {
			continue
		}
		u, err := url.Parse(text)
		if err != nil {
			continue
		}
		if protocol, ok := registeredProtocol(u.Scheme); ok && u.Port() == strconv.Itoa(instance.Port) {
			return protocol, quoted(key, text)
		}
	}
	return "", ""
}

// inspectedTags returns the tags of an instance up to the limit.
func inspectedTags(instance catalog.Instance) []string {
	return instance.Tags[:min(len(instance.Tags), maxInspected)]
}

// checkedProtocol returns the protocol of the most reliable check among those that a predicate selects. A gRPC check proves
// gRPC, while an HTTP check also passes for HTTP/2 and a TCP check passes for any protocol.
func checkedProtocol(checks []catalog.Check, selected func(catalog.Check) bool) (Protocol, bool) {
	for _, kind := range []string{"grpc", "h2ping", "http", "tcp"} {
		for _, secure := range []bool{true, false} {
			if slices.ContainsFunc(checks, func(c catalog.Check) bool { return c.Type == kind && c.TLS == secure && selected(c) }) {
				return protocolOfCheck(kind, secure), true
			}
		}
	}
	return "", false
}

// protocolOfCheck returns the protocol that a check proves.
func protocolOfCheck(kind string, secure bool) Protocol {
	switch {
	case kind == "tcp" && secure:
		return TLS
	case kind == "tcp":
		return TCP
	case secure:
		return HTTPS
	case kind == "grpc":
		return GRPC
	case kind == "h2ping":
		return HTTP2
	default:
		return HTTP
	}
}

// reportContradiction adds a finding if a check of the own port contradicts the declared protocol: one uses TLS, the other
// does not. The declaration applies.
func reportContradiction(instance catalog.Instance, declared Protocol, by string, report *report) {
	proven, ok := checkedProtocol(instance.Checks, func(c catalog.Check) bool { return c.Port == instance.Port })
	if !ok || proven == TCP || declared == TCP {
		return
	}
	secure := func(p Protocol) bool { return p == HTTPS || p == TLS }
	if secure(proven) != secure(declared) {
		report.instance(ContradictoryProtocol, instance, fmt.Sprintf("%s declares %s, but a check of the port uses %s; %s applies", by, declared, proven, declared))
	}
}
