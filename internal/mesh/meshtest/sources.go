package meshtest

import (
	"net/netip"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// sources returns the same service in each of three registries: two datacenters with the same domain, and another Consul.
func sources() []Case {
	several := func(o *mesh.Options) {
		o.Registries = []mesh.Registry{
			{Source: "consul", Domain: "consul"}, {Source: "east", Domain: "consul"}, {Source: "partner", Domain: "partner"},
		}
	}
	templates := hostTemplates("{{ .Name }}", "{{ .Name }}.{{ .Domain }}", "{{ .Name }}.{{ .Datacenter }}.{{ .Domain }}")
	web := func(source, datacenter string, changes ...change) catalog.Service {
		s := service("web", instance("web", changes...))
		s.Source, s.Datacenter, s.Instances[0].ID.Datacenter = source, datacenter, datacenter
		return s
	}
	return []Case{
		of("sources-first", web("consul", "dc1"), several, templates),
		of("sources-same-domain", web("east", "dc2"), several, templates),
		of("sources-other-domain", web("partner", "dc1"), several, templates),
		// Istio allows one host for protocols whose connections do not identify the host.
		of("sources-first-tcp", web("consul", "dc1", checks("tcp")), several),
		// A merged service spans all datacenters, so its hosts name none.
		of("sources-merged", merged(), func(o *mesh.Options) {
			o.Registries = []mesh.Registry{{Source: "consul", Domain: "consul", Merged: true}, {Source: "partner", Domain: "partner"}}
		}, templates),
		// Instances in a range have its network, those of a source without a range the network of the source.
		of("sources-networks", merged(), func(o *mesh.Options) {
			o.Registries = []mesh.Registry{{Source: "consul", Domain: "consul", Merged: true}}
			o.Networks = mesh.Networks{
				Ranges:  []mesh.NetworkRange{{Prefix: netip.MustParsePrefix("10.0.0.1/32"), Network: "vms"}},
				Sources: map[string]string{"consul": "first", "east": "second"},
			}
		}),
		// The configured datacenter has precedence: a node may be registered with any datacenter.
		of("sources-datacenter-claimed", web("east", "dc1"), datacenters),
		// The domain contains a datacenter, so the host would be that of another source.
		of("sources-domain-of-datacenter", web("inner", "dc1"), datacenters),
		of("sources-same-domain-tcp", web("east", "dc2", checks("tcp")), several),
	}
}

// datacenters configures the datacenter of each source.
func datacenters(o *mesh.Options) {
	o.Registries = []mesh.Registry{
		{Source: "consul", Domain: "consul", Datacenter: "dc1"},
		{Source: "east", Domain: "consul", Datacenter: "dc2"},
		{Source: "inner", Domain: "dc2.consul", Datacenter: "dc1"},
	}
}

// merged returns a service with an instance in each of two datacenters.
func merged() catalog.Service {
	s := service("web", instance("web-a"), instance("web-b"))
	for i, from := range []struct{ source, datacenter string }{{"consul", "dc1"}, {"east", "dc2"}} {
		s.Instances[i].Source, s.Instances[i].ID.Datacenter = from.source, from.datacenter
	}
	return s
}
