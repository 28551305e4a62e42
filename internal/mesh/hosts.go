package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// hosts are the names that a caller may use: first those that Consul's DNS has, then those of the templates. None is
// one that another service has, or would have if it were there.
func hosts(service catalog.Service, name Name, protocol Protocol, options Options, report *report) []string {
	if name.Label != service.Name {
		report.service(Renamed, fmt.Sprintf("the name can't be had as it is; in the mesh it is %q", name.Label))
	}
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
			report.host(BadHost, host, "it is no host name; the host is left out")
		case ofCluster(host, options.ClusterDomain):
			report.host(BadHost, host, "the host belongs to the Kubernetes cluster; it is left out")
		case meansNoService(host):
			report.host(BadHost, host, "the host means something else to a caller than a service; it is left out")
		case taken:
			report.host(BadHost, host, fmt.Sprintf("the host belongs to service %q of source %s, which goes before by the configuration; it is left out", other.Label, other.Source))
		case len(all) > 0 && !protocol.sharesHosts():
			if !c.builtin {
				report.host(BadHost, host, fmt.Sprintf("Istio allows one host for a service that speaks %s; it is left out", protocol))
			}
		default:
			all = append(all, host)
		}
	}
	return all
}

// hostPattern is a form of hosts that a source's services have, whether there is such a service or not: who has a host is
// settled by the configuration, and changes with no service that comes or goes.
type hostPattern struct {
	hostForm
	source string
	// builtin says that it is one of Consul's DNS, and not of a template.
	builtin bool
}

// ownerOf returns the service that has a host by a hostPattern that goes before.
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

// patterns are those of all sources as far as they are known, as seen from one of them: first the names of Consul's own
// DNS, then the templates, each in the order of the sources.
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
		// A datacenter that isn't known, or has no letter that DNS knows, is in no host.
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

// precedence is how a source stands among all: no two of them may make the same host.
type precedence struct {
	// first is the first source of all. firstOfDomain is the first with its domain: hosts without a datacenter are
	// its own.
	first, firstOfDomain bool
	// alone says that there is no other source, merged that it stands for several datacenters.
	alone, merged bool
}

func precedenceOf(registries []Registry, at int) precedence {
	same := func(r Registry) bool { return r.Domain == registries[at].Domain }
	return precedence{
		first: at == 0, firstOfDomain: slices.IndexFunc(registries, same) == at,
		alone: len(registries) == 1, merged: registries[at].Merged,
	}
}

// mayUse tells whether a template's host is the source's own: another one makes the same unless it says the
// datacenter or the domain.
func (p precedence) mayUse(t HostTemplate) bool {
	if t.count(datacenterField) > 0 {
		return !p.merged
	}
	return p.first || t.count(domainField) > 0 && p.firstOfDomain
}

// The names that Consul's DNS has for a service.
var (
	shortHost = consulHost("{{ .Name }}.service.{{ .Domain }}")
	longHost  = consulHost("{{ .Name }}.service.{{ .Datacenter }}.{{ .Domain }}")
)

func consulHost(text string) HostTemplate {
	t, err := ParseHostTemplate(text)
	if err != nil {
		panic(err)
	}
	return t
}

// templates make the names that Consul's DNS has for a service: NAME.service.DOMAIN and, where there are several
// sources, NAME.service.DATACENTER.DOMAIN.
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

// UnderDomain tells whether a host is a domain or under it.
func UnderDomain(host, domain string) bool {
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}
