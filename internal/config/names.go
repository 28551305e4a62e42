package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// VirtualAddresses are the ranges of the addresses that services are called at.
type VirtualAddresses struct {
	IPv4 string   `json:"ipv4" doc:"Range of IPv4 addresses that nothing else uses. Empty: none. The default is apart from what Istio (240.240.0.0/16) and Consul (from 240.0.0.1 on) give themselves, and so large that two of 10,000 services seldom want the same address."`
	IPv6 string   `json:"ipv6" doc:"Range of IPv6 addresses that nothing else uses, like fd12:3456:789a:1::/64. Empty: none."`
	Keep Duration `json:"keep" doc:"How long the addresses of a service that left are given to no other. Not less than the removalGrace of kubernetes and of xds, during which its entry still has them."`
}

// What the DNS server answers.
const (
	// AnswerVirtual answers the virtual addresses of services.
	AnswerVirtual = "virtual"
	// AnswerInstances answers the addresses of instances, as Consul does.
	AnswerInstances = "instances"
)

// DNS is the DNS server.
type DNS struct {
	Address     string    `json:"address" doc:"host:port to answer at, by UDP and TCP; an empty host means all interfaces. Empty: no DNS."`
	Answer      string    `json:"answer" doc:"virtual: the virtual addresses of services. instances: the addresses of the instances that take traffic, in random order, for callers outside the mesh."`
	TTL         Duration  `json:"ttl" doc:"How long an answer may be kept, in whole seconds."`
	NegativeTTL Duration  `json:"negativeTTL" doc:"How long it may be kept that there is no such name, in whole seconds."`
	Domains     []string  `json:"domains" doc:"Further domains to answer for, beside those of the sources: names below them that aren't known don't exist. Hosts of services are answered wherever they are."`
	Forward     []Forward `json:"forward" doc:"Who is asked for names below the sources' domains that aren't known, by domain: the entry with the longest domain that a name is in counts. Names in none don't exist."`
}

// Forward are the DNS servers of one Consul.
type Forward struct {
	Domain  string   `json:"domain" doc:"A source's domain, or one below it, like east.consul for the datacenter east. Empty: mesh.domain."`
	Servers []string `json:"servers" doc:"Consul's own DNS servers, host:port, in the order in which they are tried."`
}

// maxTTL is a day: what is wrong for longer is nobody's to mend.
const maxTTL = 24 * time.Hour

// AddressOptions returns the ranges as the bridge takes them. The configuration must be valid.
func (c Config) AddressOptions() (vip.Options, error) {
	v := c.VirtualAddresses
	options := vip.Options{Keep: v.Keep.Std()}
	var err error
	if options.IPv4, err = parseRange("virtualAddresses.ipv4", v.IPv4, netip.Addr.Is4); err != nil {
		return options, err
	}
	options.IPv6, err = parseRange("virtualAddresses.ipv6", v.IPv6, netip.Addr.Is6)
	return options, err
}

func parseRange(path, text string, isKind func(netip.Addr) bool) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || !isKind(prefix.Addr()) {
		return netip.Prefix{}, fmt.Errorf("%s: %q is no range of such addresses, like 244.0.0.0/6 or fd12:3456:789a:1::/64", path, text)
	}
	if err := vip.CheckRange(prefix); err != nil {
		return netip.Prefix{}, fmt.Errorf("%s: %w", path, err)
	}
	return prefix, nil
}

func (c Config) validateAddresses(found *checks) {
	if _, err := c.AddressOptions(); err != nil {
		found.errs = append(found.errs, err)
	}
	const at = "virtualAddresses.keep"
	keep := c.VirtualAddresses.Keep
	if keep.Std() < time.Minute {
		found.fail(at, "%s is less than 1m", keep)
	}
	outlived := func(path string, grace Duration) {
		if keep < grace {
			found.fail(at, "%s is less than %s, %s: an address would be given anew while the entry with it stands", keep, path, grace)
		}
	}
	outlived("kubernetes.removalGrace", c.Kubernetes.RemovalGrace)
	outlived("xds.removalGrace", c.XDS.RemovalGrace)
}

func (c Config) validateDNS(found *checks) {
	d := c.DNS
	if _, _, err := net.SplitHostPort(d.Address); d.Address != "" && err != nil {
		found.fail("dns.address", "%q is not host:port", d.Address)
	}
	found.oneOf("dns.answer", d.Answer, AnswerVirtual, AnswerInstances)
	if d.Address != "" && d.Answer == AnswerVirtual && c.VirtualAddresses.IPv4 == "" && c.VirtualAddresses.IPv6 == "" {
		found.fail("dns.answer", "there are no virtual addresses to answer: set a range in virtualAddresses, or answer instances")
	}
	for path, ttl := range map[string]Duration{"dns.ttl": d.TTL, "dns.negativeTTL": d.NegativeTTL} {
		if ttl < 0 || ttl.Std() > maxTTL || ttl.Std()%time.Second != 0 {
			found.fail(path, "%s is not within 0s and %s, in whole seconds", ttl, Duration(maxTTL))
		}
	}
	for i, domain := range d.Domains {
		found.consulDomain(fmt.Sprintf("dns.domains[%d]", i), domain, c.Mesh.ClusterDomain)
	}
	c.validateForward(found)
}

func (c Config) validateForward(found *checks) {
	seen := map[string]bool{}
	for i, f := range c.DNS.Forward {
		at := fmt.Sprintf("dns.forward[%d].", i)
		domain := c.forwardDomain(f)
		under := func(of string) bool { return mesh.UnderDomain(domain, of) }
		if !slices.ContainsFunc(c.ConsulDomains(), under) {
			found.fail(at+"domain", "%q is under none of the sources' domains, which are %s", domain, strings.Join(c.ConsulDomains(), ", "))
		}
		if seen[domain] {
			found.fail(at+"domain", "%q is there twice", domain)
		}
		seen[domain] = true
		if len(f.Servers) == 0 {
			found.fail(at+"servers", "there is none")
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

// Forward returns the DNS servers that are asked for what isn't known, by domain.
func (c Config) Forward() map[string][]string {
	servers := map[string][]string{}
	for _, f := range c.DNS.Forward {
		servers[c.forwardDomain(f)] = f.Servers
	}
	return servers
}

// ConsulDomains are the domains of all sources, each once.
func (c Config) ConsulDomains() []string {
	var domains []string
	for _, source := range c.Sources {
		if domain := strings.ToLower(c.domainOf(source)); !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
	}
	return domains
}
