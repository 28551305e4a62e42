// Package validation verifies that all objects of isthmus pass Istio's own validation.
package validation

import (
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/gvk"
	istio "istio.io/istio/pkg/config/validation"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// TestIstioAccepts verifies that every case of the translation, from the typical to the broken, passes the validation
// of istiod's webhook.
func TestIstioAccepts(t *testing.T) {
	for _, c := range meshtest.Cases() {
		t.Run(c.Name, func(t *testing.T) { accepted(t, c) })
	}
}

// FuzzIstioAccepts verifies the same for any registration.
func FuzzIstioAccepts(f *testing.F) {
	f.Add("student-service", "10.0.0.1", 9098, "version=v1", "secure", "false", int(catalog.Passing), 1)
	f.Add("Foo_Bar", "VM-17.example.com.", 80, "team|blue", "protocol", "grpc", int(catalog.Warning), 0)
	f.Add("中文", "[2001:db8::1]", 70000, "empty=", "istio.io/rev", "x", int(catalog.Maintenance), -1)
	f.Add("x/y", "1.2.3", 0, "=", "zone", "a/b", 99, 1<<40)
	f.Add("web--0123456789abcdef0123", "caf\xe9", -1, "\xff=\xff", "protocol", "mysql", int(catalog.Critical), 0)
	bothForms := meshtest.Cases()[:2]
	f.Fuzz(func(t *testing.T, name, address string, port int, tag, key, value string, health, weight int) {
		instance := catalog.Instance{
			ID:      catalog.InstanceID{Datacenter: "dc1", Node: key, ServiceID: value},
			Address: address, Port: port, Tags: []string{tag}, Meta: map[string]string{key: value},
			NodeMeta: map[string]string{"region": tag, "zone": value},
			Health:   catalog.Health(health), Weights: catalog.Weights{Passing: weight, Warning: weight},
		}
		usual := instance
		usual.ID.ServiceID, usual.Address, usual.Port, usual.Health = "2"+value, "10.0.0.2", 8080, catalog.Passing
		for _, c := range bothForms {
			c.Service = catalog.Service{
				Key: catalog.Key{Source: "consul", Name: name}, Datacenter: value, Instances: []catalog.Instance{instance, usual},
			}
			accepted(t, c)
		}
	})
}

// FuzzIstioAcceptsHostile verifies the same for hostile input in every field, under every rule.
func FuzzIstioAcceptsHostile(f *testing.F) {
	for seed := range 64 {
		var bytes []byte
		for i := range 60 * (1 + seed%8) {
			bytes = append(bytes, byte(seed*(i+7)*(i+3)>>2))
		}
		f.Add(bytes)
	}
	f.Fuzz(func(t *testing.T, data []byte) { accepted(t, meshtest.Hostile(data)) })
}

func accepted(t *testing.T, c meshtest.Case) {
	t.Helper()
	resources, findings := mesh.Translate(c.Service, c.MeshName(), c.Options)
	if resources.Broken {
		t.Fatalf("%+v", findings)
	}
	for _, object := range meshtest.Objects(resources) {
		cfg := config.Config{Meta: config.Meta{Name: object.Name, Namespace: object.Namespace}, Spec: object.Spec}
		validate := istio.ValidateWorkloadEntry
		cfg.GroupVersionKind = gvk.WorkloadEntry
		switch object.Spec.(type) {
		case *networking.ServiceEntry:
			validate, cfg.GroupVersionKind = istio.ValidateServiceEntry, gvk.ServiceEntry
		case *networking.DestinationRule:
			validate, cfg.GroupVersionKind = istio.ValidateDestinationRule, gvk.DestinationRule
		}
		warning, err := validate(cfg)
		if err != nil {
			t.Errorf("%s %s: %v\n%v", object.Kind, object.Name, err, object.Spec)
		}
		if warning != nil {
			t.Logf("%s %s: %v", object.Kind, object.Name, warning)
		}
	}
}
