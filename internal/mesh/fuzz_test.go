package mesh_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// FuzzTranslate verifies for arbitrary services: no panic, equal results for equal input, and valid objects.
func FuzzTranslate(f *testing.F) {
	f.Add("student-service", "10.0.0.1", 9098, "version=v1", "secure", "false", int(catalog.Passing), 1, 1)
	f.Add("Foo_Bar", "VM-17.example.com.", 80, "team|blue", "protocol", "grpc", int(catalog.Warning), 10, 0)
	f.Add("中文", "[2001:db8::1]", 70000, "empty=", "istio.io/rev", "x", int(catalog.Maintenance), -1, -1)
	f.Add("x/y", "unix:///run/web.sock", 0, "=", "zone", "a/b", 99, 1<<40, 1)
	f.Add("web--0123456789abcdef0123", "caf\xe9", -1, "\xff=\xff", "\xfe", "\xfd", int(catalog.Critical), 0, 0)
	bothForms := meshtest.Cases()[:2]
	f.Fuzz(func(t *testing.T, name, address string, port int, tag, key, value string, health, passing, warning int) {
		service := catalog.Service{Key: catalog.Key{Source: "consul", Name: name}, Datacenter: value}
		service.Instances = []catalog.Instance{
			{
				ID:      catalog.InstanceID{Datacenter: "dc1", Node: key, ServiceID: "1" + value},
				Address: address,
				Port:    port,
				Tags:    []string{tag, key + "=" + value},
				Meta:    map[string]string{key: value, tag: name},
				Weights: catalog.Weights{Passing: passing, Warning: warning},
				Health:  catalog.Health(health),
				Checks:  []catalog.Check{{Type: tag, Port: port}},
			},
			{ // a valid instance, so that the service always has objects
				ID:       catalog.InstanceID{Datacenter: "dc1", Node: key, ServiceID: "2" + value},
				Address:  "10.0.0.2",
				Port:     8080,
				Tags:     []string{tag},
				NodeMeta: map[string]string{"region": tag, "zone": value},
				Health:   catalog.Passing,
			},
		}
		for _, c := range bothForms {
			c.Service = service
			checkTranslation(t, c)
		}
	})
}

// checkTranslation verifies the result for one case.
func checkTranslation(t *testing.T, c meshtest.Case) {
	t.Helper()
	resources, findings := mesh.Translate(c.Service, c.MeshName(), c.Options)
	if len(resources.Objects) == 0 {
		t.Error("a service with a valid instance has no objects")
	}
	checkResources(t, resources)
	again, findingsAgain := mesh.Translate(c.Service, c.MeshName(), c.Options)
	if !resources.Equal(again) {
		t.Error("equal services have different resources")
	}
	if diff := cmp.Diff(findings, findingsAgain); diff != "" {
		t.Errorf("equal services have different findings:\n%s", diff)
	}
	for i, finding := range findings {
		same := func(f mesh.Finding) bool { return f.Reason == finding.Reason }
		if finding.Reason == "" || finding.Count < 1 || slices.Contains(finding.Details(), "") || len(finding.Examples) == 0 || slices.ContainsFunc(findings[:i], same) {
			t.Errorf("finding %+v", finding)
		}
	}
}
