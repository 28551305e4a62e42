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
	claims := options.claims(name.Source, service.Datacenter)
	for i, c := range claims {
		if c.source != name.Source {
			continue
		}
		host := c.host(name.Label)
		other, taken := takenBy(claims[:i], host, name)
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
			if !c.ofConsul {
				report.host(BadHost, host, fmt.Sprintf("Istio allows one host for a service that speaks %s; it is left out", protocol))
			}
		default:
			all = append(all, host)
		}
	}
	return all
}

// claim is a form of hosts that a source's services have, whether there is such a service or not: who has a host is
// settled by the configuration, and changes with no service that comes or goes.
type claim struct {
	hostForm
	source string
	// ofConsul says that it is one of Consul's DNS, and not of a template.
	ofConsul bool
}

// takenBy returns the service that has a host by a claim that goes before.
func takenBy(before []claim, host string, name Name) (Name, bool) {
	for _, c := range before {
		other := Name{Source: c.source}
		var ok bool
		if other.Label, ok = c.label(host); ok && other != name {
			return other, true
		}
	}
	return Name{}, false
}

// claims are those of all sources as far as they are known, as seen from one of them: first the names of Consul's own
// DNS, then the templates, each in the order of the sources.
func (o Options) claims(source, datacenter string) []claim {
	registries := o.Registries
	if len(registries) == 0 {
		registries = []Registry{{Source: source, Domain: o.Domain}}
	}
	at := slices.IndexFunc(registries, func(r Registry) bool { return r.Source == source })
	own := registries[at]
	var ofConsul, ofTemplates []claim
	for i, r := range registries {
		s := standingOf(registries, i)
		data := HostData{Datacenter: dnsLabel(r.Datacenter), Domain: r.Domain}
		if i == at {
			data.Datacenter = dnsLabel(cmp.Or(own.Datacenter, datacenter))
		}
		// A datacenter that isn't known, or has no letter that DNS knows, is in no host.
		sayable := func(t HostTemplate) bool { return data.Datacenter != "" || t.count(datacenterField) == 0 }
		for _, t := range s.templates() {
			if sayable(t) {
				ofConsul = append(ofConsul, claim{t.form(data), r.Source, true})
			}
		}
		for _, t := range o.Hosts {
			if s.mayMake(t) && sayable(t) {
				ofTemplates = append(ofTemplates, claim{t.form(data), r.Source, false})
			}
		}
	}
	return slices.Concat(ofConsul, ofTemplates)
}

// standing is how a source stands among all: no two of them may make the same host.
type standing struct {
	// first is the first source of all. firstOfDomain is the first with its domain: hosts without a datacenter are
	// its own.
	first, firstOfDomain bool
	// alone says that there is no other source, merged that it stands for several datacenters.
	alone, merged bool
}

func standingOf(registries []Registry, at int) standing {
	same := func(r Registry) bool { return r.Domain == registries[at].Domain }
	return standing{
		first: at == 0, firstOfDomain: slices.IndexFunc(registries, same) == at,
		alone: len(registries) == 1, merged: registries[at].Merged,
	}
}

// mayMake tells whether a template's host is the source's own: another one makes the same unless it says the
// datacenter or the domain.
func (s standing) mayMake(t HostTemplate) bool {
	if t.count(datacenterField) > 0 {
		return !s.merged
	}
	return s.first || t.count(domainField) > 0 && s.firstOfDomain
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
func (s standing) templates() []HostTemplate {
	switch {
	case s.alone, s.merged:
		return []HostTemplate{shortHost}
	case s.firstOfDomain:
		return []HostTemplate{shortHost, longHost}
	default:
		return []HostTemplate{longHost}
	}
}

// UnderDomain tells whether a host is a domain or under it.
func UnderDomain(host, domain string) bool {
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}
