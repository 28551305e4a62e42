package meshtest

import (
	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// sources are the same service in each of three registries: two datacenters of one domain, and another Consul.
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
		// Istio allows one host where a connection doesn't say which it means.
		of("sources-first-tcp", web("consul", "dc1", checks("tcp")), several),
		// Merged, it is one service of all datacenters: its hosts name none.
		of("sources-merged", merged(), func(o *mesh.Options) {
			o.Registries = []mesh.Registry{{Source: "consul", Domain: "consul", Merged: true}, {Source: "partner", Domain: "partner"}}
		}, templates),
		// The configuration's word goes before what an entry says of its datacenter: a node may be registered with any.
		of("sources-datacenter-claimed", web("east", "dc1"), datacenters),
		// Another source's host, by a domain that holds a datacenter.
		of("sources-domain-of-datacenter", web("inner", "dc1"), datacenters),
		of("sources-same-domain-tcp", web("east", "dc2", checks("tcp")), several),
	}
}

// datacenters says which datacenter each source reads.
func datacenters(o *mesh.Options) {
	o.Registries = []mesh.Registry{
		{Source: "consul", Domain: "consul", Datacenter: "dc1"},
		{Source: "east", Domain: "consul", Datacenter: "dc2"},
		{Source: "inner", Domain: "dc2.consul", Datacenter: "dc1"},
	}
}

// merged is a service with an instance in each of two datacenters.
func merged() catalog.Service {
	s := service("web", instance("web-a"), instance("web-b"))
	for i, from := range []struct{ source, datacenter string }{{"consul", "dc1"}, {"east", "dc2"}} {
		s.Instances[i].Source, s.Instances[i].ID.Datacenter = from.source, from.datacenter
	}
	return s
}
