package meshtest

import (
	"fmt"
	"strings"
)

func labels() []Case {
	long := strings.Repeat("x", 64)
	return []Case{
		of("labels-from-tags", service("web", instance("web", tags("team=blue", "stage|prod", "version=v3", "plain", "=none")))),
		of("labels-first-tag-wins", service("web", instance("web", tags("team=blue", "team=red", "team|green")))),
		of("labels-meta-before-tags", service("web", instance(
			"web",
			tags("version=v1", "team=blue"),
			meta("version", "v2", "team", ""),
		))),
		// None of these may come from who can write to the registry: they give identity, traffic or a meaning.
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
		// A key that is valid as it stands wins over one that had to be changed.
		of("labels-cleaned-collide", service("web", instance("web", meta(
			"a b", "changed", "a-b", "kept", "a?b", "changed",
			"example.com/a b", "changed", "example.com/a-b", "kept",
		)))),
		// Istio's schema has 256 at most, five of them are its own and ours.
		of("labels-too-many", service("web", instance("web", meta("version", "v1"), tags(numbered(252)...)))),
		of("labels-dropped", service("web", instance(
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
