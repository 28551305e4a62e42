package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// maxHosts is the limit of Istio's schema for a ServiceEntry, 256, less the two hosts of Consul.
const maxHosts = 254

const passingAndWarning, passing = "passingAndWarning", "passing"

// maxWait is less than Consul's limit for a blocking query, 10 minutes, to leave room for jitter.
const maxWait = 8 * time.Minute

// Validate returns all errors of the configuration, one per line.
func (c Config) Validate() error {
	var found problems
	c.validateSources(&found)
	c.Mesh.validate(&found)
	c.validateExternalServices(&found)
	c.validateAddresses(&found)
	if _, err := c.networks(); err != nil {
		found.errs = append(found.errs, err)
	}
	c.validateDNS(&found)
	c.Guard.validate(&found)
	c.Limits.validate(&found)
	c.Kubernetes.validate(&found)
	c.XDS.validate(&found)
	if _, _, err := net.SplitHostPort(c.Admin.Address); c.Admin.Address != "" && err != nil {
		found.fail("admin.address", "%q is not host:port", c.Admin.Address)
	}
	var level slog.Level
	if level.UnmarshalText([]byte(c.Log.Level)) != nil {
		found.fail("log.level", "%q is not one of debug, info, warn, error", c.Log.Level)
	}
	found.oneOf("log.format", c.Log.Format, "text", "json")
	return errors.Join(found.errs...)
}

// validateSources validates each source, and verifies that no two sources have the same name, datacenter or hosts.
func (c Config) validateSources(found *problems) {
	if len(c.Sources) == 0 {
		found.fail("sources", "empty list; remove the entry to use the Consul agent at CONSUL_HTTP_ADDR or 127.0.0.1:8500")
	}
	type place struct{ address, datacenter string }
	names, places, domains := map[string]bool{}, map[place]bool{}, map[string]Source{}
	for i, source := range c.Sources {
		at := fmt.Sprintf("sources[%d].", i)
		source.validate(found, at, c.Mesh.ClusterDomain)
		if names[source.Name] {
			found.fail(at+"name", "%q is the name of another source", source.Name)
		}
		where := place{source.Address, source.Datacenter}
		if places[where] {
			found.fail(at+"address", "another source reads the same datacenter of the same agent")
		}
		if earlier, ok := domains[c.domainOf(source)]; ok && source.Merge && !earlier.Merge {
			found.fail(at+"merge", "hosts of %s without a datacenter belong to %q, which isn't merged; set merge there too, or set a domain here",
				c.domainOf(source), earlier.Name)
		} else if !ok {
			domains[c.domainOf(source)] = source
		}
		if other, ok := c.sameHosts(i); ok {
			found.fail(at+"datacenter", "hosts under %s.%s belong to %q; set another domain for one of them, or merge both",
				source.Datacenter, c.domainOf(source), other)
		}
		names[source.Name], places[where] = true, true
	}
}

func (s Source) validate(found *problems, at, clusterDomain string) {
	found.dnsLabel(at+"name", s.Name)
	if s.Domain != "" {
		found.consulDomain(at+"domain", s.Domain, clusterDomain)
	}
	if err := checkAddress(s.Address); err != nil {
		found.fail(at+"address", "%v", err)
	}
	if s.AddressTag == "consul-virtual" {
		found.fail(at+"addressTag", "consul-virtual is an address of Consul's own mesh, which Envoy cannot reach; use an address of the instances, for example wan")
	}
	if s.ServiceDefaults && s.Connections == 3 {
		found.fail(at+"connections", "3 is less than 4: with serviceDefaults, the config entries need one connection too")
	}
	for _, part := range []struct{ name, value string }{{"region", s.Region}, {"zone", s.Zone}} {
		if err := mesh.CheckLocality(part.value); err != nil {
			found.fail(at+part.name, "%v", err)
		}
	}
	if s.Connections < 3 {
		found.fail(at+"connections", "%d is less than 3: listing, reading and waiting need one connection each", s.Connections)
	}
	if wait := time.Duration(s.Wait); wait < time.Second || wait > maxWait {
		found.fail(at+"wait", "%s is not within 1s and 8m", s.Wait)
	}
	if (s.TLS.CertFile == "") != (s.TLS.KeyFile == "") {
		found.fail(at+"tls", "certFile and keyFile require each other")
	}
	s.Services.validate(found, at+"services.")
}

func (s Services) validate(found *problems, at string) {
	found.globs(at+"include", s.Include)
	found.globs(at+"exclude", s.Exclude)
	found.globs(at+"withTags", s.WithTags)
	found.globs(at+"withoutTags", s.WithoutTags)
	if _, err := catalog.ParseKinds(s.IncludeKinds); err != nil {
		found.fail(at+"includeKinds", "%v", err)
	}
}

// checkAddress accepts the addresses that Consul's own programs accept.
func checkAddress(address string) error {
	rest := address
	if scheme, after, ok := strings.Cut(address, "://"); ok {
		switch scheme {
		case "unix":
			return nil
		case "http", "https":
			rest = after
		default:
			return fmt.Errorf("%q: the scheme is not http, https or unix", address)
		}
	}
	parsed, err := url.Parse("http://" + rest)
	if err != nil || (address != "" && parsed.Hostname() == "") || parsed.User != nil || parsed.RawQuery != "" {
		return fmt.Errorf("%q is not host:port, http://host:port, https://host:port or unix:///path", redact(address))
	}
	if port := parsed.Port(); port != "" {
		if _, err := net.LookupPort("tcp", port); err != nil {
			return fmt.Errorf("%q: %q is not a port", address, port)
		}
	}
	return nil
}

// redact hides the part before an @, which may contain a password.
func redact(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		return "…" + address[at:]
	}
	return address
}

func (m Mesh) validate(found *problems) {
	found.domain("mesh.clusterDomain", m.ClusterDomain)
	found.consulDomain("mesh.domain", m.Domain, m.ClusterDomain)
	if len(m.Hosts) > maxHosts {
		found.fail("mesh.hosts", "%d templates, at most %[2]d are allowed: Istio allows 256 hosts for a service", len(m.Hosts), maxHosts)
	}
	for i, host := range m.Hosts {
		if _, err := mesh.ParseHostTemplate(host); err != nil {
			found.fail(fmt.Sprintf("mesh.hosts[%d]", i), "%v", err)
		}
	}
	if m.Endpoints != "" {
		found.oneOf("mesh.endpoints", m.Endpoints, string(mesh.AutoForm), string(mesh.WorkloadEntryForm), string(mesh.InlineForm))
	}
	if _, err := mesh.ParseProtocol(m.DefaultProtocol); err != nil {
		found.fail("mesh.defaultProtocol", "%v", err)
	}
	m.validatePorts(found)
	for i, rule := range m.TLSOrigination {
		rule.validate(found, fmt.Sprintf("mesh.tlsOrigination[%d]", i))
	}
	found.oneOf("mesh.health", m.Health, passingAndWarning, passing)
	if _, err := m.podRanges(); err != nil {
		found.errs = append(found.errs, err)
	}
	if _, err := m.Addresses.options(); err != nil {
		found.errs = append(found.errs, err)
	}
	found.labels("mesh.labels.allow", m.Labels.Allow)
	found.labels("mesh.labels.deny", m.Labels.Deny)
	for i, glob := range m.TagHosts {
		if err := mesh.CheckTagGlob(glob); err != nil {
			found.fail(fmt.Sprintf("mesh.tagHosts[%d]", i), "%v", err)
		}
	}
	if m.MaxInstances < 1 || m.MaxInstances > mesh.MaxInstances {
		found.fail("mesh.maxInstances", "%d is not within 1 and %d", m.MaxInstances, mesh.MaxInstances)
	}
	found.exportTo("mesh.exportTo", m.ExportTo)
	for i, rule := range m.Rules {
		rule.validate(found, fmt.Sprintf("mesh.rules[%d]", i))
	}
	for i, namespace := range m.NamespaceChoices {
		found.dnsLabel(fmt.Sprintf("mesh.namespaceChoices[%d]", i), namespace)
	}
}

func (r Rule) validate(found *problems, at string) {
	if len(r.Services) == 0 {
		found.fail(at+".services", `empty, so the rule matches no service; ["*"] matches all`)
	}
	found.globs(at+".services", r.Services)
	if r.Namespace == "" && len(r.ExportTo)+len(r.Labels)+len(r.Annotations) == 0 {
		found.fail(at, "sets none of namespace, exportTo, labels and annotations")
	}
	if err := mesh.CheckRuleLabels(r.Labels); err != nil {
		found.fail(at+".labels", "%v", err)
	}
	if err := mesh.CheckRuleAnnotations(r.Annotations); err != nil {
		found.fail(at+".annotations", "%v", err)
	}
	if r.Namespace != "" {
		found.dnsLabel(at+".namespace", r.Namespace)
	}
	found.exportTo(at+".exportTo", r.ExportTo)
}

func (k Kubernetes) validate(found *problems) {
	found.dnsLabel("kubernetes.namespace", k.Namespace)
	if k.Shards < 0 || k.Shards > 1000 {
		found.fail("kubernetes.shards", "%d is not within 0 and 1000", k.Shards)
	} else if k.Shards > 0 {
		found.dnsLabel("kubernetes.namespace", fmt.Sprintf("%s-%d", k.Namespace, k.Shards-1))
	}
	if k.WritesPerSecond < 0 {
		found.fail("kubernetes.writesPerSecond", "%v is negative; 0 means no limit", k.WritesPerSecond)
	}
	if k.Writers < 1 || k.Writers > 256 {
		found.fail("kubernetes.writers", "%d is not within 1 and 256", k.Writers)
	}
	if k.RemovalGrace < 0 {
		found.fail("kubernetes.removalGrace", "%s is negative", k.RemovalGrace)
	}
	k.LeaderElection.validate(found)
}

func (l LeaderElection) validate(found *problems) {
	const at = "kubernetes.leaderElection."
	if l.Namespace != "" {
		found.dnsLabel(at+"namespace", l.Namespace)
	}
	// These are the rules of client-go: leaseDuration > renewDeadline > retryPeriod with jitter.
	if l.RenewDeadline >= l.LeaseDuration {
		found.fail(at+"renewDeadline", "%s is not less than leaseDuration, %s", l.RenewDeadline, l.LeaseDuration)
	}
	if l.RetryPeriod <= 0 || float64(l.RenewDeadline) <= 1.2*float64(l.RetryPeriod) {
		found.fail(at+"retryPeriod", "%s is not above 0 and below renewDeadline / 1.2, %s", l.RetryPeriod, l.RenewDeadline)
	}
}
