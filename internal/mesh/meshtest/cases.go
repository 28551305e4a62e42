// Package meshtest provides services as registries contain them, from typical to invalid ones, for all tests of the
// translation.
package meshtest

import (
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Case is a service with the options for its translation.
type Case struct {
	// Name describes the case. It is unique and a valid file name.
	Name    string
	Service catalog.Service
	Options mesh.Options
}

// MeshName returns the service's name in a mesh without other services.
func (c Case) MeshName() mesh.Name {
	var names mesh.Names
	names.Add(c.Service.Key)
	return names.Of(c.Service.Key)
}

// Cases returns new copies of all cases in a fixed order. The first two are a typical service in both forms.
func Cases() []Case {
	return slices.Concat(
		typical(),
		ports(),
		sharedAddresses(),
		externalServices(),
		protocols(),
		origination(),
		labels(),
		healths(),
		addresses(),
		leftOut(),
		limits(),
		names(),
		localities(),
		hosts(),
		sources(),
		placements(),
		tagHosts(),
	)
}

// typical returns a service as Spring Cloud registers it, in both forms, during a roll-out of v2.
func typical() []Case {
	service := func() catalog.Service {
		spring := all(checks("http"), port(9098), meta("secure", "false"))
		return service(
			"student-service",
			instance("student-service-a", spring, address("10.0.0.11"), meta("version", "v1")),
			instance("student-service-b", spring, address("10.0.0.12"), meta("version", "v2")),
		)
	}
	return []Case{
		of("spring-cloud", service()),
		of("spring-cloud-inline", service(), inline),
	}
}

func placements() []Case {
	spread := func(o *mesh.Options) { o.Placement.Shards = 16 }
	return []Case{
		of("placement-shards", service("web", instance("web")), spread),
		of("placement-first-rule", service("shop-web", instance("web")), ruled),
		// A rule has precedence over meta.
		of("placement-rule-before-meta", service("shop-web", instance("web", meta("isthmus-namespace", "blue"))), ruled),
		of("placement-rule-exports-alone", service("web", instance("web")), ruled, inline),
		of("placement-meta", service(
			"api",
			instance("api-1", meta("isthmus-namespace", "blue")),
			instance("api-2"),
		), ruled),
		of("placement-meta-disagrees", service(
			"api",
			instance("api-1", meta("isthmus-namespace", "red")),
			instance("api-2", meta("isthmus-namespace", "blue"), health(catalog.Critical)),
		), ruled),
		of("placement-meta-not-allowed", service("api", instance("api", meta("isthmus-namespace", "kube-system"))), ruled),
		of("placement-exported-to-its-own", service("db", instance("db")), ruled),
	}
}

// ruled places services by rules and by meta, and restricts their visibility.
func ruled(o *mesh.Options) {
	o.Placement.Choices = []string{"blue", "red"}
	o.Placement.ExportTo = []string{"*"}
	o.Placement.Rules = []mesh.Rule{
		{Services: []string{"web", "db"}, ExportTo: []string{".", "istio-system", "data"}},
		{Services: []string{"shop-*"}, Namespace: "shop"},
		{Services: []string{"*-web"}, Namespace: "never", ExportTo: []string{"~"}},
		{Services: []string{"db"}, Namespace: "data"},
	}
}
