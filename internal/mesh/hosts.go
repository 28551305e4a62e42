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
	return t, nil
}

func (t HostTemplate) host(data HostData) (string, error) {
	var out strings.Builder
	if err := t.parsed.Execute(&out, data); err != nil {
		return "", fmt.Errorf("host template %q: %w", t.text, err)
	}
	return strings.ToLower(out.String()), nil
}

// hosts are the names that a caller may use: first the one that Consul's DNS has, then those of the templates.
func hosts(service catalog.Service, name Name, protocol Protocol, options Options, report *report) []string {
	if name.Label != service.Name {
		report.add(Renamed, "", fmt.Sprintf("the name can't be had as it is; in the mesh it is %q", name.Label))
	}
	first := name.Label + ".service." + options.Domain
	all := []string{first}
	data := HostData{Name: name.Label, Datacenter: dnsLabel(service.Datacenter), Domain: options.Domain}
	for _, t := range options.Hosts {
		host, err := t.host(data)
		switch {
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

// UnderDomain tells whether a host is a domain or under it.
func UnderDomain(host, domain string) bool {
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}
