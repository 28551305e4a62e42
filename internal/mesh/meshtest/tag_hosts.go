package meshtest

import (
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func tagHosts() []Case {
	chosen := func(globs ...string) func(*mesh.Options) {
		return func(o *mesh.Options) { o.TagHosts = append(o.TagHosts, globs...) }
	}
	roles := chosen("master", "replica")
	// The tag of the leader is gone for a moment during a failover.
	failover := service("pg", instance("pg-1", port(5432), checks("tcp"), tags("replica")), instance("pg-2", port(5432), checks("tcp"), tags("replica")))
	failover.FormerTags = []string{"deposed", "master", "replica"}
	// A registration cannot join a host by a label that it sets itself.
	impostor := instance("pg-4", port(5432), checks("tcp"), tags("tag.master=true", "master=true", "isthmus-mesh.github.io/tag=master"), meta("tag.master", "true", "master", "true"))
	several := func(o *mesh.Options) {
		o.Registries = []mesh.Registry{{Source: "consul", Domain: "consul"}, {Source: "east", Domain: "consul"}}
	}
	server := func(id, where string, number int, tag string, status catalog.Health) catalog.Instance {
		return instance(id, address(where), port(number), tags("eu", tag), health(status))
	}
	twoTags := func(id, where string) catalog.Instance {
		return instance(id, address(where), port(4647), tags("rpc", "internal"))
	}
	ports := service(
		"server",
		server("a-http", "10.0.0.1", 4646, "http", catalog.Critical), server("a-rpc", "10.0.0.1", 4647, "rpc", catalog.Passing),
		server("b-http", "10.0.0.2", 4646, "http", catalog.Passing), server("b-rpc", "10.0.0.2", 4647, "rpc", catalog.Passing),
	)
	return []Case{
		of("tag-hosts-of-ports", ports, chosen("*")),
		of("tag-hosts-of-ports-healthy", service(
			"server",
			server("a-http", "10.0.0.1", 4646, "http", catalog.Passing), server("a-rpc", "10.0.0.1", 4647, "rpc", catalog.Passing),
			server("b-http", "10.0.0.2", 4646, "http", catalog.Passing), server("b-rpc", "10.0.0.2", 4647, "rpc", catalog.Passing),
		), chosen("*")),
		of("tag-hosts-of-ports-two-tags", service(
			"server",
			server("a-http", "10.0.0.1", 4646, "http", catalog.Passing), twoTags("a-rpc", "10.0.0.1"),
			server("b-http", "10.0.0.2", 4646, "http", catalog.Passing), twoTags("b-rpc", "10.0.0.2"),
		), chosen("rpc", "internal"), inline),
		of("tag-hosts-of-ports-sources", ports, chosen("rpc"), fallback(mesh.TCP), several),
		of("tag-hosts", patroni(impostor), roles),
		of("tag-hosts-inline", patroni(impostor), roles, inline),
		of("tag-hosts-without-instances", failover, roles),
		of("tag-hosts-case", service("web", instance("a", tags("Blue", "BLUE")), instance("b", tags("blue"))), chosen("bLu?")),
		of("tag-hosts-not-labels", service("web", instance(
			"a", tags("v1", "v1.2", "blue_green", "-x", "中", strings.Repeat("x", 64), "a=b", "traefik.enable", "${ROLE}", "", " "),
		)), chosen("*")),
		of("tag-hosts-too-many", tooManyTags(), chosen("v*")),
		of("tag-hosts-sources", service("web", instance("a", tags("blue")), instance("b", tags("green"))), chosen("blue"), several, hostTemplates("{{ .Name }}")),
		// By the template, blue.web.service.consul is the host of the service blue, whether that exists or not.
		of("tag-hosts-of-another", service("web", instance("a", tags("blue"))), chosen("blue"), hostTemplates("{{ .Name }}.web.service.consul")),
		of("tag-hosts-names", service("by-name", instance("a", address("vm-1.example.com"), tags("blue")), instance("b", tags("green"), health(catalog.Critical))), chosen("*")),
		of("tag-hosts-tls", service("vault", instance("a", port(8200), meta("secure", "true"), tags("active"))), chosen("active"), func(o *mesh.Options) {
			o.TLSOrigination = []mesh.TLSOrigination{{Services: []string{"*"}, Protocol: mesh.HTTP}}
		}, ruled),
	}
}

// patroni returns a cluster as Patroni registers it, with a failing replica and further instances.
func patroni(more ...catalog.Instance) catalog.Service {
	postgres := all(port(5432), checks("tcp"))
	return service("pg", append(
		more,
		instance("pg-1", postgres, tags("master")),
		instance("pg-2", postgres, tags("replica")),
		instance("pg-3", postgres, tags("replica"), health(catalog.Critical)),
	)...)
}

// tooManyTags returns a service with more tags than a service can have hosts, some of which have hosts already.
func tooManyTags() catalog.Service {
	var all []string
	for i := range 20 {
		all = append(all, "v"+strings.Repeat("9", i+1))
	}
	s := service("web", instance("a", tags(all...)))
	s.FormerTags = []string{"v0", all[18], all[19]}
	return s
}
