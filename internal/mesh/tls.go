package mesh

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// tlsPort is where callers speak TLS themselves, of a service for which Envoy does so for others.
const tlsPort = defaultPort + "--tls"

// TLSOrigination has the callers' Envoys speak TLS for them: callers speak Protocol at port 80.
type TLSOrigination struct {
	// Services are globs of names, as the registry has them.
	Services []string
	// Force takes services for HTTPS that don't say so. Without it, it counts for those that say HTTPS or TLS.
	Force bool
	// Protocol is what the callers speak.
	Protocol Protocol
	// SNI is the name that is asked for in the handshake; the host that the caller uses where it is empty.
	SNI ServerName
	// SubjectAltNames are the names of which the certificate must have one; the SNI where there are none.
	SubjectAltNames []string
	// CACertificates is a file at the caller's proxy; empty for the authorities that its system trusts.
	CACertificates string
	// InsecureSkipVerify takes any certificate.
	InsecureSkipVerify bool
}

// ServerName is a host name in which {{ .Name }} may stand for the service's name in the mesh.
type ServerName struct {
	text     string
	template *HostTemplate
}

// ParseServerName checks a server name; an empty one is none.
func ParseServerName(text string) (ServerName, error) {
	if !strings.Contains(text, "{{") {
		if text != "" && !isHost(text) {
			return ServerName{}, fmt.Errorf("%q is no host name in small letters", text)
		}
		return ServerName{text: text}, nil
	}
	template, err := ParseHostTemplate(text)
	if err == nil && template.count(datacenterField)+template.count(domainField) > 0 {
		err = fmt.Errorf("%q: only {{ .Name }} can stand in it", text)
	}
	return ServerName{template: &template}, err
}

// of returns the name for a service and one of its hosts.
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

// origination returns the rule for a service whose instances speak a protocol; nil where callers speak it themselves.
func (o Options) origination(service catalog.Service, protocol Protocol) *TLSOrigination {
	for i, rule := range o.TLSOrigination {
		if catalog.MatchAny(rule.Services, service.Name) {
			if rule.Force || protocol == HTTPS || protocol == TLS {
				return &o.TLSOrigination[i]
			}
			return nil
		}
	}
	return nil
}

// forCallers returns what callers speak at port 80 of a service whose instances speak a protocol.
func (t *TLSOrigination) forCallers(protocol Protocol) Protocol {
	if t == nil {
		return protocol
	}
	return t.Protocol
}

// destinationRules have Envoy speak TLS to each host of a service.
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

// settings name the certificate that is expected: Istio checks no name in it where only an SNI is given.
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
