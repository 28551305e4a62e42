package meshtest

import (
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func names() []Case {
	return []Case{
		of("name-upper-case", service("Foo_Bar", instance("web"))),
		of("name-dots", service("a.b", instance("web"))),
		of("name-slash", service("x/y", instance("web"))),
		of("name-chinese", service("中文", instance("web"))),
		of("name-not-utf-8", service("caf\xe9", instance("\xff", node("\xfe")))),
		of("name-long", service(strings.Repeat("long-", 60), instance("web"))),
		of("name-too-long", service(strings.Repeat("long-", 300), instance("web"))),
		of("name-looks-hashed", service("web--0123456789abcdef0123", instance("web"))),
		of("id-on-two-nodes", service(
			"web",
			instance("web", node("node-1")),
			instance("web", node("node-2")),
		)),
		// An ID may have 10 kB and does not fit into an annotation.
		of("id-long", service("web", instance(strings.Repeat("0123456789", 1000)))),
	}
}

func hosts() []Case {
	return []Case{
		of("hosts-bare-name", service("web", instance("web")), hostTemplates("{{ .Name }}")),
		of("hosts-datacenter", service("web", instance("web")), hostTemplates("{{ .Name }}.service.{{ .Datacenter }}.{{ .Domain }}")),
		of("hosts-twice", service("web", instance("web")), hostTemplates("{{ .Name }}.service.consul", "{{ .Name }}", "{{ .Name }}")),
		of("hosts-of-the-cluster", service("web", instance("web")), hostTemplates(
			"{{ .Name }}.default.svc",
			"{{ .Name }}.default.svc.cluster.local",
			"{{ .Name }}.example.com",
		)),
		// By the first template, web-x is the host of the service web-x, whether that exists or not.
		of("hosts-of-another", service("web", instance("web")), hostTemplates("{{ .Name }}", "{{ .Name }}-x", "x.{{ .Name }}.service.consul")),
		of("hosts-of-the-machine", service("localhost", instance("web")), hostTemplates("{{ .Name }}", "x.{{ .Name }}")),
		of("hosts-like-a-number", service("127", instance("web")), hostTemplates("{{ .Name }}")),
		of("hosts-none-left", service("web", instance("web")), func(o *mesh.Options) { o.ClusterDomain = "service.consul" }),
		of("hosts-tcp", service("web", instance("web", checks("tcp"))), hostTemplates("{{ .Name }}.service.consul", "{{ .Name }}")),
		of("hosts-tls", service("web", instance("web", meta("protocol", "tls"))), hostTemplates("{{ .Name }}")),
	}
}
