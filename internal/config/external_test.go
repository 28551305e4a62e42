package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestExternalServices verifies that the translation gets the rules in their order.
func TestExternalServices(t *testing.T) {
	c, err := Parse([]byte("mesh: {externalServices: [{services: [stripe], host: api.stripe.example}, {externalNodes: true}]}"))
	if err != nil {
		t.Fatal(err)
	}
	options, err := c.MeshOptions()
	if err != nil {
		t.Fatal(err)
	}
	want := []mesh.ExternalService{{Services: []string{"stripe"}, Host: "api.stripe.example"}, {ExternalNodes: true}}
	if diff := cmp.Diff(want, options.ExternalServices); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestExternalServicesThatCannotBe verifies that no entry gives a host to two services.
func TestExternalServicesThatCannotBe(t *testing.T) {
	for content, want := range map[string]string{
		"{}":                                     "mesh.externalServices[0].services: empty, so the entry matches no service",
		"{services: [\"\"]}":                     "mesh.externalServices[0].services",
		"{services: [a, b], host: x.example}":    `mesh.externalServices[0].host: "x.example" can belong to one service only`,
		"{services: [\"a*\"], host: x.example}":  `mesh.externalServices[0].host: "x.example" can belong to one service only`,
		"{externalNodes: true, host: x.example}": `mesh.externalServices[0].host: "x.example" can belong to one service only`,
		"{services: [a], host: X.example}":       "mesh.externalServices[0].host",
		"{services: [a], host: \"*.example\"}":   "mesh.externalServices[0].host",
		"{services: [a], host: x.example}, {services: [b], host: x.example}": `mesh.externalServices[1].host: "x.example" is the host of another entry`,
		"{services: [a], host: b.service.consul}":                            `mesh.externalServices[0].host: "b.service.consul" is under "consul"`,
		"{services: [a], host: b.c.svc.cluster.local}":                       `is under "cluster.local"`,
		"{services: [a], host: b.c.svc}":                                     `is under "svc"`,
	} {
		_, err := Parse([]byte("mesh: {externalServices: [" + content + "]}"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", content, err, want)
		}
	}
}
