package mesh

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// tlsPort is the port of callers that originate TLS themselves, if Envoy originates it for the others.
const tlsPort = defaultPort + "--tls"

// TLSOrigination configures Envoy to originate TLS: callers use Protocol at port 80.
type TLSOrigination struct {
	// Services are globs of registered names.
	Services []string
	// Force applies the rule to services that do not declare HTTPS or TLS.
	Force bool
	// Protocol is the protocol of the callers.
	Protocol Protocol
	// SNI is the server name of the handshake; by default it is the host that the caller uses.
	SNI ServerName
	// SubjectAltNames lists the accepted names of the certificate; by default it is the SNI.
	SubjectAltNames []string
	// CACertificates is a file at the caller's proxy; by default the proxy uses the authorities of its system.
	CACertificates string
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
}

// ServerName is a host name that may contain {{ .Name }} for the service's name in the mesh.
type ServerName struct {
	text     string
	template *HostTemplate
}

// ParseServerName parses a server name, which may be empty.
func ParseServerName(text string) (ServerName, error) {
	if !strings.Contains(text, "{{") {
		if text != "" && !isHost(text) {
			return ServerName{}, fmt.Errorf("%q is not a host name in lower case", text)
		}
		return ServerName{text: text}, nil
	}
	template, err := ParseHostTemplate(text)
	if err == nil && template.count(datacenterField)+template.count(domainField) > 0 {
		err = fmt.Errorf("%q: only {{ .Name }} is supported", text)
	}
	return ServerName{template: &template}, err
}

// of returns the server name for a service and one of its hosts.
func (s ServerName) of(name Name, host string) string {
	switch {
	case s.template != nil:
		return s.template.form(HostData{}).host(name.Label)
	case s.text != "":
		return s.text
	default:
		return host
	}
}

// origination returns the rule that applies to a service with a protocol; nil if callers originate TLS themselves. The server
// name of an external service with a host is that host, unless the rule has one.
func (o Options) origination(service catalog.Service, protocol Protocol) *TLSOrigination {
	for _, rule := range o.TLSOrigination {
		if catalog.MatchService(rule.Services, service.Name) {
			if !rule.Force && protocol != HTTPS && protocol != TLS {
				return nil
			}
			if external := o.external(service); external != nil && rule.SNI == (ServerName{}) {
				rule.SNI.text = external.Host
			}
			return &rule
		}
	}
	return nil
}

// forCallers returns the protocol of callers at port 80.
func (t *TLSOrigination) forCallers(protocol Protocol) Protocol {
	if t == nil {
		return protocol
	}
	return t.Protocol
}

// destinationRules returns the DestinationRules by which Envoy originates TLS to each host of a service.
func (t *TLSOrigination) destinationRules(name Name, namespace string, entry *networking.ServiceEntry) []Object {
	var objects []Object
	for _, host := range entry.Hosts {
		objects = append(objects, Object{
			Kind: DestinationRuleKind, Namespace: namespace, Name: name.DestinationRule(host), Labels: objectLabels(name),
			Spec: &networking.DestinationRule{
				Host: host, ExportTo: slices.Clone(entry.ExportTo),
				TrafficPolicy: &networking.TrafficPolicy{PortLevelSettings: []*networking.TrafficPolicy_PortTrafficPolicy{{
					Port: &networking.PortSelector{Number: httpNumber}, Tls: t.settings(name, host),
				}}},
			},
		})
	}
	slices.SortFunc(objects, Object.compareName)
	return objects
}

// settings returns the TLS settings for a host. They always name the expected certificate, because Istio verifies no name if
// only the SNI is set.
func (t *TLSOrigination) settings(name Name, host string) *networking.ClientTLSSettings {
	settings := &networking.ClientTLSSettings{Mode: networking.ClientTLSSettings_SIMPLE, Sni: t.SNI.of(name, host)}
	if t.InsecureSkipVerify {
		settings.InsecureSkipVerify = wrapperspb.Bool(true)
		return settings
	}
	settings.CaCertificates = t.CACertificates
	if settings.SubjectAltNames = slices.Clone(t.SubjectAltNames); len(t.SubjectAltNames) == 0 {
		settings.SubjectAltNames = []string{settings.Sni}
	}
	return settings
}
