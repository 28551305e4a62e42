package meshtest

import (
	"fmt"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func labels() []Case {
	long := strings.Repeat("x", 64)
	return []Case{
		of("labels-from-tags", service("web", instance("web", tags("team=blue", "stage|prod", "version=v3", "plain", "=none")))),
		of("labels-from-bare-tags", service("web", instance("web", tags("master", "primary:1", "two words", "master", long, "tag.x", "Blue"), meta("tag.Blue", "kept")))),
		of("labels-of-routers", service("web", instance("web", tags(
			"Traefik", "traefik.enable=true", "Traefik.http.routers.x.rule=Host(`x`)", "urlprefix-/x strip=/x", "a=${NAME}", "b={{ x }}", "version=@project.version@", "c=", "mail=@x",
		), meta("git", "${COMMIT}")))),
		of("labels-first-tag-wins", service("web", instance("web", tags("team=blue", "team=red", "team|green")))),
		of("labels-meta-before-tags", service("web", instance(
			"web",
			tags("version=v1", "team=blue"),
			meta("version", "v2", "team", ""),
		))),
		// Teams must not be able to set labels that determine identity, traffic or configuration.
		of("labels-reserved", service("web", instance(
			"web",
			tags("app=bank", "istio.io/rev=x", "Security.Istio.io/tlsMode=istio"),
			meta(
				"topology.kubernetes.io/region", "x",
				"gateway.networking.k8s.io/gateway-name", "x",
				"isthmus-mesh.github.io/service", "bank",
				"notistio.io/team", "blue",
			),
		))),
		of("labels-cleaned", service("web", instance(
			"web",
			tags("build=2024/01/02 10:00", " padded = value ", "rule=Host(`a.example`)"),
			meta("git.commit", "_abc_", "owner of it", "a@example.com", "Example.COM/Team", "Blue"),
		))),
		// A valid key has precedence over one that becomes equal to it.
		of("labels-cleaned-collide", service("web", instance("web", meta(
			"a b", "changed", "a-b", "kept", "a?b", "changed",
			"example.com/a b", "changed", "example.com/a-b", "kept",
		)))),
		// Istio's own components select by these labels without a prefix.
		of("labels-reserved-plain", service("web", instance(
			"web",
			tags("istio=ingressgateway", "istio-locality=eu", "k8s-app=kube-dns", "gateway.x-k8s.io/name=x"),
			meta("isthmus", "x", "istiod", "x"),
		))),
		of("labels-allowed", service("web", instance(
			"web",
			tags("security.istio.io/tlsMode=istio", "istio.io/rev=x", "service.istio.io/canonical-name=bank", "app=bank"),
			meta("owner", "x", "owner-mail", "x", "k8s-app", "x"),
		)), func(o *mesh.Options) {
			o.Labels = mesh.Labels{Allow: []string{"security.istio.io/*", "service.istio.io/*", "owner"}, Deny: []string{"owner*"}}
		}),
		of("labels-too-many", service("web", instance("web", meta("version", "v1"), tags(numbered(300)...)))),
		// For other programs and for readers: neither labels nor findings, unless the operator wants them.
		of("labels-ignored", service("web", instance("web",
			tags("aid=1f8bd2f3-63c5-4a2f-9c1f-0f5f6f1a2b3c", "image=registry.corp.example/web@sha256:"+strings.Repeat("0f5f6f1a", 8), "tier=1"),
			meta("url", "dubbo://10.0.0.1:20880/com.acme.Orders?"+strings.Repeat("x", 100), "uuid", "1f8bd2f3-63c5-4a2f-9c1f-0f5f6f1a2b3c"),
		))),
		of("labels-wanted", service("web", instance("web",
			tags("aid=1f8bd2f3-63c5-4a2f-9c1f-0f5f6f1a2b3c", "image=registry.corp.example/web@sha256:"+strings.Repeat("0f5f6f1a", 8)),
			meta("version", "1.0.0-"+strings.Repeat("x", 100), "description", strings.Repeat("long ", 20)),
		)), func(o *mesh.Options) { o.Labels.Allow = []string{"aid", "image"} }),
		of("labels-skipped", service("web", instance(
			"web",
			tags("empty=", "/=x", "bad domain/key=x"),
			meta(
				"kept", "x",
				"long", long,
				long, "x",
				"chinese", "学生",
				"学生", "x",
				"latin1", "caf\xe9",
				"not-utf-8", "\xff\xfe",
			),
		))),
	}
}

func numbered(n int) []string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("tag-%03d=x", i)
	}
	return tags
}
