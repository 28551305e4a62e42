package mesh

import (
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// HostTemplate makes a host of a service. It is a Go template with the fields of HostData.
type HostTemplate struct {
	text   string
	parsed *template.Template
	// ofDatacenter and ofDomain say whether the host differs by these.
	ofDatacenter, ofDomain bool
}

// HostData is what a HostTemplate may use.
type HostData struct {
	// Name is the service's name in the mesh, a DNS label.
	Name string
	// Datacenter is the Consul datacenter of the service.
	Datacenter string
	// Domain is the domain of Consul's DNS.
	Domain string
}

// ParseHostTemplate checks a template on an example, so that a mistake shows before the first service comes.
func ParseHostTemplate(text string) (HostTemplate, error) {
	parsed, err := template.New("host").Option("missingkey=error").Parse(text)
	if err != nil {
		return HostTemplate{}, fmt.Errorf("host template %q: %w", text, err)
	}
	t := HostTemplate{text: text, parsed: parsed}
	example, err := t.host(HostData{Name: "web", Datacenter: "dc1", Domain: "consul"})
	if err != nil {
		return HostTemplate{}, err
	}
	if !isHost(example) {
		return HostTemplate{}, fmt.Errorf(`host template %q makes %q of the service "web", which is no host name`, text, example)
	}
	if other, err := t.host(HostData{Name: "api", Datacenter: "dc1", Domain: "consul"}); err == nil && other == example {
		return HostTemplate{}, fmt.Errorf("host template %q gives every service the same host %q; use {{ .Name }} in it", text, example)
	}
	differs := func(data HostData) bool {
		other, err := t.host(data)
		return err != nil || other != example
	}
	t.ofDatacenter = differs(HostData{Name: "web", Datacenter: "dc2", Domain: "consul"})
	t.ofDomain = differs(HostData{Name: "web", Datacenter: "dc1", Domain: "example.com"})
	return t, nil
}

func (t HostTemplate) host(data HostData) (string, error) {
	var out strings.Builder
	if err := t.parsed.Execute(&out, data); err != nil {
		return "", fmt.Errorf("host template %q: %w", t.text, err)
	}
	return strings.ToLower(out.String()), nil
}

// hosts are the names that a caller may use: first those that Consul's DNS has, then those of the templates.
func hosts(service catalog.Service, name Name, protocol Protocol, options Options, report *report) []string {
	if name.Label != service.Name {
		report.add(Renamed, "", fmt.Sprintf("the name can't be had as it is; in the mesh it is %q", name.Label))
	}
	standing := options.standing(name.Source)
	data := HostData{Name: name.Label, Datacenter: dnsLabel(service.Datacenter), Domain: standing.domain}
	all := standing.hosts(data)
	if !protocol.sharesHosts() {
		all = all[:1]
	}
	for _, t := range options.Hosts {
		host, err := t.host(data)
		switch {
		case !standing.mayMake(t):
		case err != nil:
			report.add(BadHost, t.text, err.Error())
		case !isHost(host):
			report.add(BadHost, host, "the host template makes no host name of this service; the host is left out")
		case slices.Contains(all, host):
		case UnderDomain(host, options.ClusterDomain) || UnderDomain(host, "svc"):
			report.add(BadHost, host, "the host belongs to the Kubernetes cluster; it is left out")
		case !protocol.sharesHosts():
			report.add(BadHost, host, fmt.Sprintf("Istio allows one host for a service that speaks %s; it is left out", protocol))
		default:
			all = append(all, host)
		}
	}
	return all
}

// standing is how a source stands among all: no two of them may make the same host.
type standing struct {
	domain string
	// first is the first source of all. firstOfDomain is the first with its domain: hosts without a datacenter are
	// its own.
	first, firstOfDomain bool
	// alone says that there is no other source, merged that it stands for several datacenters.
	alone, merged bool
}

func (o Options) standing(source string) standing {
	if len(o.Registries) == 0 {
		return standing{domain: o.Domain, first: true, firstOfDomain: true, alone: true}
	}
	at := slices.IndexFunc(o.Registries, func(r Registry) bool { return r.Source == source })
	domain, merged := o.Registries[at].Domain, o.Registries[at].Merged
	same := func(r Registry) bool { return r.Domain == domain }
	return standing{domain: domain, first: at == 0, firstOfDomain: slices.IndexFunc(o.Registries, same) == at, merged: merged}
}

// mayMake tells whether a template's host is the source's own: another one makes the same unless it says the
// datacenter or the domain.
func (s standing) mayMake(t HostTemplate) bool {
	if t.ofDatacenter {
		return !s.merged
	}
	return s.first || t.ofDomain && s.firstOfDomain
}

// hosts are the names that Consul's DNS has for a service: NAME.service.DOMAIN and, where there are several
// sources, NAME.service.DATACENTER.DOMAIN.
func (s standing) hosts(data HostData) []string {
	short := data.Name + ".service." + s.domain
	long := data.Name + ".service." + data.Datacenter + "." + s.domain
	switch {
	case s.alone, s.merged:
		return []string{short}
	case s.firstOfDomain:
		return []string{short, long}
	default:
		return []string{long}
	}
}

// UnderDomain tells whether a host is a domain or under it.
func UnderDomain(host, domain string) bool {
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}
