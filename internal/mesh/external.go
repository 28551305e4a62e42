package mesh

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// ExternalService is a rule for services outside of the mesh that Consul has for their callers, as consul-esm and Terraform
// register them.
type ExternalService struct {
	// Services are globs of registered names.
	Services []string
	// ExternalNodes applies the rule also to services whose instances are all on external nodes.
	ExternalNodes bool
	// Host is the name by which the service is known outside, for example api.example.com; empty for none. It is a host of the
	// service in the first source, and the server name of TLS origination.
	Host string
}

// externalNodeMeta is the key in the meta of a node by which consul-esm finds external nodes; the value is "true".
const externalNodeMeta = "external-node"

// external returns the first rule that applies to a service; nil if there is none.
func (o Options) external(service catalog.Service) *ExternalService {
	for i, rule := range o.ExternalServices {
		if catalog.MatchService(rule.Services, service.Name) || rule.ExternalNodes && onExternalNodes(service) {
			return &o.ExternalServices[i]
		}
	}
	return nil
}

// onExternalNodes reports whether all instances of a service, healthy or not, are on external nodes.
func onExternalNodes(service catalog.Service) bool {
	return !slices.ContainsFunc(service.Instances, func(i catalog.Instance) bool {
		return !strings.EqualFold(i.NodeMeta[externalNodeMeta], "true")
	})
}

// location returns the location of a service.
func (s *ExternalService) location() networking.ServiceEntry_Location {
	if s == nil {
		return networking.ServiceEntry_MESH_INTERNAL
	}
	return networking.ServiceEntry_MESH_EXTERNAL
}

// externalHost returns the host of the rule for a service; empty if it has none. A name that several sources have belongs to
// the first source.
func (o Options) externalHost(service catalog.Service, source string) string {
	rule := o.external(service)
	if rule == nil || len(o.Registries) > 0 && o.Registries[0].Source != source {
		return ""
	}
	return rule.Host
}

// withExternalHost appends the host of the rule to the hosts of a service.
func (o Options) withExternalHost(hosts []string, service catalog.Service, name Name, protocol Protocol, report *report) []string {
	host := o.externalHost(service, name.Source)
	if host == "" || slices.Contains(hosts, host) {
		return hosts
	}
	other, taken := ownerOf(o.hostPatterns(name.Source, service.Datacenter), host, Name{})
	switch {
	case taken:
		report.host(BadHost, host, fmt.Sprintf("mesh.hosts gives the host to service %q of source %s; the host is skipped", other.Label, other.Source))
	case len(hosts) > 0 && !protocol.sharesHosts():
		report.host(BadHost, host, fmt.Sprintf("Istio allows one host for a service with protocol %s; the host is skipped", protocol))
	default:
		return append(hosts, host)
	}
	return hosts
}

// externalPorts removes the port 80 or 443 if the host of a rule has another port outside: the name must mean the same in the
// mesh and outside. The port stays if it is the only one.
func externalPorts(ports []*networking.ServicePort, endpoints []endpoint) []*networking.ServicePort {
	own := func(e endpoint) bool { return e.port == ports[0].Number }
	if len(ports) < 2 || ports[0].Name != defaultPort || ports[1].Name != nativePort || slices.ContainsFunc(endpoints, own) {
		return ports
	}
	return ports[1:]
}
