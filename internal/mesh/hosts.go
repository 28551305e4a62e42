package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// hosts returns the hosts of a service: first those of Consul's DNS, then those of the templates. No host belongs to
// another service, whether that service exists or not.
func hosts(service catalog.Service, name Name, protocol Protocol, options Options, report *report) []string {
	reportRenamed(service, name, report)
	var all []string
	patterns := options.hostPatterns(name.Source, service.Datacenter)
	for i, c := range patterns {
		if c.source != name.Source {
			continue
		}
		host := c.host(name.Label)
		other, taken := ownerOf(patterns[:i], host, name)
		switch {
		case slices.Contains(all, host):
		case !isHost(host) || endsInNumber(host):
			report.host(BadHost, host, "not a valid host name; the host is skipped")
		case ofCluster(host, options.ClusterDomain):
			report.host(BadHost, host, "the host belongs to the Kubernetes cluster; the host is skipped")
		case ofConsulDNS(host, options.domains()):
			report.host(BadHost, host, "the DNS of Consul answers the host itself; the host is skipped")
		case meansNoService(host):
			report.host(BadHost, host, "the host has a special meaning to callers; the host is skipped")
		case taken:
			report.host(BadHost, host, fmt.Sprintf("the host belongs to service %q of source %s, which has precedence in the configuration; the host is skipped", other.Label, other.Source))
		case len(all) > 0 && !protocol.sharesHosts():
			if !c.builtin {
				report.host(BadHost, host, fmt.Sprintf("Istio allows one host for a service with protocol %s; the host is skipped", protocol))
			}
		default:
			all = append(all, host)
		}
	}
	return all
}

// reportRenamed adds a finding if the service's name in the mesh differs from the registered name in more than case.
func reportRenamed(service catalog.Service, name Name, report *report) {
	preferred, usable := preferredName(service.Key)
	switch {
	case name.Label == strings.ToLower(service.Name):
	case preferred.Label == consulLabel:
		report.service(Renamed, fmt.Sprintf("the name %q is reserved for Consul itself; this service is named %q in the mesh", consulLabel, name.Label))
	case usable && name.Label != preferred.Label:
		report.service(Renamed, fmt.Sprintf("another service already has the name %q in the mesh; this service is named %q", preferred.Label, name.Label))
	default:
		report.service(Renamed, fmt.Sprintf("the name is not a DNS label; in the mesh the service is named %q", name.Label))
	}
}

// hostPattern is a form of hosts that all services of a source have, whether they exist or not. The owner of a host follows
// from the configuration alone, so it does not change when services are added or removed.
type hostPattern struct {
	hostForm
	source string
	// builtin is true for the hosts of Consul's DNS, and false for templates.
	builtin bool
}

// ownerOf returns the service that owns a host by one of the patterns with precedence.
func ownerOf(before []hostPattern, host string, name Name) (Name, bool) {
	for _, c := range before {
		other := Name{Source: c.source}
		var ok bool
		if other.Label, ok = c.label(host); ok && other != name {
			return other, true
		}
	}
	return Name{}, false
}

// hostPatterns returns the patterns of all sources, as known to one of them, in the order of precedence:
//
//  1. hosts of Consul's DNS, in the order of the sources
//  2. templates, in the order of the sources, then of the templates
//
// The columns show the hosts of a source by its position (see precedence):
//
//	source                              NAME.service.DOMAIN   NAME.service.DC.DOMAIN   templates without DC    with DC
//	alone                               yes                   no                       yes                     yes
//	merged                              yes                   no                       as below                no
//	first of all                        yes                   yes                      yes                     yes
//	first with its domain               yes                   yes                      those with the domain   yes
//	any other                           no                    yes                      no                      yes
func (o Options) hostPatterns(source, datacenter string) []hostPattern {
	registries := o.Registries
	if len(registries) == 0 {
		registries = []Registry{{Source: source, Domain: o.Domain}}
	}
	at := slices.IndexFunc(registries, func(r Registry) bool { return r.Source == source })
	own := registries[at]
	var ofConsul, ofTemplates []hostPattern
	for i, r := range registries {
		p := precedenceOf(registries, i)
		data := HostData{Datacenter: dnsLabel(r.Datacenter), Domain: r.Domain}
		if i == at {
			data.Datacenter = dnsLabel(cmp.Or(own.Datacenter, datacenter))
		}
		// A host cannot contain a datacenter that is unknown or has no valid character.
		known := func(t HostTemplate) bool { return data.Datacenter != "" || t.count(datacenterField) == 0 }
		for _, t := range p.templates() {
			if known(t) {
				ofConsul = append(ofConsul, hostPattern{t.form(data), r.Source, true})
			}
		}
		for _, t := range o.Hosts {
			if p.mayUse(t) && known(t) {
				ofTemplates = append(ofTemplates, hostPattern{t.form(data), r.Source, false})
			}
		}
	}
	return slices.Concat(ofConsul, ofTemplates)
}

// precedence is the position of a source among all sources. It ensures that no two sources have the same host.
type precedence struct {
	// first is true for the first source.
	first bool
	// firstOfDomain is true for the first source with its domain, which owns the hosts without a datacenter.
	firstOfDomain bool
	// alone is true if there is no other source.
	alone bool
	// merged is true if the source merges several datacenters.
	merged bool
}

// precedenceOf returns the precedence of the source at an index.
func precedenceOf(registries []Registry, at int) precedence {
	same := func(r Registry) bool { return r.Domain == registries[at].Domain }
	return precedence{
		first: at == 0, firstOfDomain: slices.IndexFunc(registries, same) == at,
		alone: len(registries) == 1, merged: registries[at].Merged,
	}
}

// mayUse reports whether a source may use a template. Without the datacenter or the domain in it, several sources would
// give the same host.
func (p precedence) mayUse(t HostTemplate) bool {
	if t.count(datacenterField) > 0 {
		return !p.merged
	}
	return p.first || t.count(domainField) > 0 && p.firstOfDomain
}

// The hosts of Consul's DNS.
var (
	shortHost = consulHost("{{ .Name }}.service.{{ .Domain }}")
	longHost  = consulHost("{{ .Name }}.service.{{ .Datacenter }}.{{ .Domain }}")
)

// consulHost parses a template that is known to be valid.
func consulHost(text string) HostTemplate {
	t, err := ParseHostTemplate(text)
	if err != nil {
		panic(err)
	}
	return t
}

// templates returns the templates of the hosts in Consul's DNS: NAME.service.DOMAIN and, with several sources,
// NAME.service.DATACENTER.DOMAIN.
func (p precedence) templates() []HostTemplate {
	switch {
	case p.alone, p.merged:
		return []HostTemplate{shortHost}
	case p.firstOfDomain:
		return []HostTemplate{shortHost, longHost}
	default:
		return []HostTemplate{longHost}
	}
}

// UnderDomain reports whether a host is a domain or a subdomain of it.
func UnderDomain(host, domain string) bool {
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}
