package config

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Values of dns.answer.
const (
	// AnswerVirtual answers with the virtual addresses of services.
	AnswerVirtual = "virtual"
	// AnswerInstances answers with the addresses of instances, as Consul does.
	AnswerInstances = "instances"
)

// DNS configures the DNS server.
type DNS struct {
	Address          string    `json:"address" doc:"host:port to listen on, for UDP and TCP. An empty host means all interfaces. Empty: no DNS server."`
	Answer           string    `json:"answer" doc:"virtual: the virtual addresses of services. instances: the addresses of the instances that receive traffic, in random order, for callers outside the mesh."`
	TTL              Duration  `json:"ttl" doc:"TTL of answers, in whole seconds."`
	NegativeTTL      Duration  `json:"negativeTTL" doc:"TTL of answers for names that don't exist, in whole seconds."`
	MaxAmplification int       `json:"maxAmplification" doc:"How many times longer than the query a UDP answer may be if the client has no valid DNS cookie. A longer answer is truncated, and clients repeat the query by TCP. 2 to 100, or 0 for no limit."`
	Domains          []string  `json:"domains" doc:"Additional domains to answer for, besides those of the sources. Unknown names in them don't exist. The server answers for the hosts of services in any domain."`
	Forward          []Forward `json:"forward" doc:"DNS servers for unknown names in the domains of the sources. The entry with the longest matching domain applies. Unknown names without an entry don't exist."`
}

// Forward configures the DNS servers for one domain.
type Forward struct {
	Domain  string   `json:"domain" doc:"Domain of a source, or a domain in it, for example east.consul for the datacenter east. Empty: mesh.domain."`
	Servers []string `json:"servers" doc:"DNS servers of Consul, host:port, in the order of preference."`
}

// maxTTL limits how long a resolver can keep a wrong answer.
const maxTTL = 24 * time.Hour

func (c Config) validateDNS(found *problems) {
	d := c.DNS
	if _, _, err := net.SplitHostPort(d.Address); d.Address != "" && err != nil {
		found.fail("dns.address", "%q is not host:port", d.Address)
	}
	found.oneOf("dns.answer", d.Answer, AnswerVirtual, AnswerInstances)
	if d.Address != "" && d.Answer == AnswerVirtual && c.VirtualAddresses.IPv4 == "" && c.VirtualAddresses.IPv6 == "" {
		found.fail("dns.answer", "there are no virtual addresses to answer with; set a range in virtualAddresses, or set instances")
	}
	for path, ttl := range map[string]Duration{"dns.ttl": d.TTL, "dns.negativeTTL": d.NegativeTTL} {
		if ttl < 0 || ttl.Std() > maxTTL || ttl.Std()%time.Second != 0 {
			found.fail(path, "%s is not within 0s and %s, in whole seconds", ttl, Duration(maxTTL))
		}
	}
	if d.MaxAmplification != 0 && (d.MaxAmplification < 2 || d.MaxAmplification > 100) {
		found.fail("dns.maxAmplification", "%d is not within 2 and 100; set 4, or 0 for no limit", d.MaxAmplification)
	}
	for i, domain := range d.Domains {
		found.consulDomain(fmt.Sprintf("dns.domains[%d]", i), domain, c.Mesh.ClusterDomain)
	}
	c.validateForward(found)
}

func (c Config) validateForward(found *problems) {
	seen := map[string]bool{}
	for i, f := range c.DNS.Forward {
		at := fmt.Sprintf("dns.forward[%d].", i)
		domain := c.forwardDomain(f)
		under := func(of string) bool { return mesh.UnderDomain(domain, of) }
		if !slices.ContainsFunc(c.ConsulDomains(), under) {
			found.fail(at+"domain", "%q is not under a domain of the sources: %s", domain, strings.Join(c.ConsulDomains(), ", "))
		}
		if seen[domain] {
			found.fail(at+"domain", "%q is a duplicate", domain)
		}
		seen[domain] = true
		if len(f.Servers) == 0 {
			found.fail(at+"servers", "at least one server is required")
		}
		for j, server := range f.Servers {
			host, port, err := net.SplitHostPort(server)
			if err != nil || host == "" || port == "" {
				found.fail(fmt.Sprintf("%sservers[%d]", at, j), "%q is not host:port", server)
			}
		}
	}
}

func (c Config) forwardDomain(f Forward) string {
	return strings.ToLower(cmp.Or(strings.TrimSuffix(f.Domain, "."), c.Mesh.Domain))
}

// Forward returns the DNS servers for unknown names, by domain.
func (c Config) Forward() map[string][]string {
	servers := map[string][]string{}
	for _, f := range c.DNS.Forward {
		servers[c.forwardDomain(f)] = f.Servers
	}
	return servers
}

// ConsulDomains returns the distinct domains of all sources.
func (c Config) ConsulDomains() []string {
	var domains []string
	for _, source := range c.Sources {
		if domain := strings.ToLower(c.domainOf(source)); !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
	}
	return domains
}
