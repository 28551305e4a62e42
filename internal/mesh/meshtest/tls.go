package meshtest

import (
	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func origination() []Case {
	rule := func(t mesh.TLSOrigination) func(*mesh.Options) {
		return func(o *mesh.Options) { o.TLSOrigination = append(o.TLSOrigination, t) }
	}
	named, err := mesh.ParseServerName("{{ .Name }}.corp.example.com")
	if err != nil {
		panic(err) // an invalid case
	}
	secure := func() catalog.Service {
		return service("web", instance("a", port(8443), meta("secure", "true"), checks("https")), instance("b", port(8443), meta("secure", "true")))
	}
	plain := mesh.TLSOrigination{Services: []string{"web"}, Protocol: mesh.HTTP}
	return []Case{
		of("tls-origination", secure(), rule(plain)),
		of("tls-origination-inline", secure(), inline, rule(plain), hostTemplates("{{ .Name }}")),
		of("tls-origination-of-another", secure(), rule(mesh.TLSOrigination{Services: []string{"x"}, Protocol: mesh.HTTP, Force: true})),
		of("tls-origination-not-secure", service("web", instance("a"), instance("b", meta("secure", "true"))), rule(plain)),
		of("tls-origination-forced", service("web", instance("a", port(443))), rule(mesh.TLSOrigination{
			Services: []string{"w*"}, Force: true, Protocol: mesh.GRPC, SNI: named, SubjectAltNames: []string{"web.example.com", "spiffe://x/web"},
			CACertificates: "/etc/ssl/corp.pem",
		}), ruled),
		of("tls-origination-first-rule", secure(), rule(mesh.TLSOrigination{Services: []string{"*"}, Protocol: mesh.TCP, InsecureSkipVerify: true}), rule(plain), hostTemplates("{{ .Name }}")),
		of("tls-origination-all-critical", service("web", instance("a", meta("secure", "true"), health(catalog.Critical))), rule(plain)),
	}
}
