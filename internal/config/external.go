package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// externalServices returns the rules in the form of the translation.
func (m Mesh) externalServices() []mesh.ExternalService {
	var all []mesh.ExternalService
	for _, rule := range m.ExternalServices {
		all = append(all, mesh.ExternalService(rule))
	}
	return all
}

// validateExternalServices verifies that no host belongs to two services, and that none is a host of Consul's DNS or of the
// cluster.
func (c Config) validateExternalServices(found *problems) {
	hosts := map[string]bool{}
	for i, rule := range c.Mesh.ExternalServices {
		at := fmt.Sprintf("mesh.externalServices[%d]", i)
		if len(rule.Services) == 0 && !rule.ExternalNodes {
			found.fail(at+".services", `empty, so the entry matches no service; set externalNodes or names of services`)
		}
		found.globs(at+".services", rule.Services)
		if rule.Host == "" {
			continue
		}
		if len(rule.Services) != 1 || strings.ContainsAny(rule.Services[0], "*?") || rule.ExternalNodes {
			found.fail(at+".host", "%q can belong to one service only: set services to the name of that service, without * and ?, and omit externalNodes", rule.Host)
		}
		if hosts[rule.Host] {
			found.fail(at+".host", "%q is the host of another entry", rule.Host)
		}
		hosts[rule.Host] = true
		found.domain(at+".host", rule.Host)
		for _, domain := range c.reservedDomains() {
			if mesh.UnderDomain(rule.Host, domain) {
				found.fail(at+".host", "%q is under %q, whose hosts belong to other services", rule.Host, domain)
			}
		}
	}
}

// reservedDomains returns the domains of Consul's DNS and of the cluster.
func (c Config) reservedDomains() []string {
	domains := []string{c.Mesh.Domain, c.Mesh.ClusterDomain, "svc"}
	for _, source := range c.Sources {
		if source.Domain != "" {
			domains = append(domains, source.Domain)
		}
	}
	slices.Sort(domains)
	return slices.Compact(domains)
}
