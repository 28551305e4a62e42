package meshtest

import (
	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// externalServices are services outside of the mesh, as consul-esm and Terraform register them.
func externalServices() []Case {
	const host = "api.stripe.example"
	stripe := func(changes ...change) catalog.Service {
		changes = append([]change{node("stripe"), address(host), port(443), nodeMeta("external-node", "true", "external-probe", "true")}, changes...)
		return service("stripe", instance("stripe", changes...))
	}
	named := func(o *mesh.Options) {
		o.ExternalServices = []mesh.ExternalService{{Services: []string{"stripe"}, Host: host}}
	}
	nodes := func(o *mesh.Options) { o.ExternalServices = []mesh.ExternalService{{ExternalNodes: true}} }
	originate := func(o *mesh.Options) {
		o.TLSOrigination = []mesh.TLSOrigination{{Services: []string{"stripe"}, Protocol: mesh.HTTP}}
	}
	second := func(o *mesh.Options) {
		o.Registries = []mesh.Registry{{Source: "east", Domain: "consul", Datacenter: "dc2"}, {Source: "consul", Domain: "consul", Datacenter: "dc1"}}
	}
	return []Case{
		of("external", stripe(), named),
		of("external-inline", stripe(), named, inline),
		of("external-tls-origination", stripe(), named, originate),
		of("external-other-port", stripe(port(8080)), named),
		of("external-tcp", stripe(port(5432)), named),
		of("external-critical", stripe(health(catalog.Critical)), named, inline),
		of("external-of-first-source", stripe(), named, second, originate),
		of("external-of-another", stripe(), named, hostTemplates("{{ .Name }}.stripe.example")),
		of("external-nodes", stripe(), nodes),
		of("external-nodes-not-all", service("stripe", instance("a", nodeMeta("external-node", "true")), instance("b")), nodes),
	}
}
