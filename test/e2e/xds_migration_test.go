package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestXDSMove verifies that a service keeps its endpoints in Envoy while it moves between namespaces and forms of its
// endpoints, without a restart of isthmus.
func TestXDSMove(t *testing.T) {
	config := configFile(t, "mesh: {endpoints: workloadEntry}")
	w := newXDSHarness(t, "--config", config)
	i := instance{service: "web", id: "a", address: "10.1.0.1", port: 8081}
	w.register(t, i, instance{service: "web", id: "b", address: "10.1.0.2", port: 8082})
	w.awaitEndpoints(t, i.cluster(), "10.1.0.1:8081", "10.1.0.2:8082")
	steady := w.watchSteady(t, i.cluster(), "10.1.0.1:8081", "10.1.0.2:8082")
	for _, step := range []struct {
		mesh string
		want []string // the service's objects in istiod
	}{
		{"{endpoints: workloadEntry, rules: [{services: [web], namespace: shop}]}", workloadsIn("shop")},
		{"{endpoints: inline, rules: [{services: [web], namespace: shop}]}", entryIn("shop")},
		{"{endpoints: inline}", entryIn("consul-services")},
		{"{endpoints: workloadEntry, rules: [{services: [web], namespace: store}]}", workloadsIn("store")},
		{"{endpoints: inline, rules: [{services: [web], namespace: shop}]}", entryIn("shop")},
		{"{endpoints: workloadEntry, rules: [{services: [web], namespace: shop}]}", workloadsIn("shop")},
	} {
		rewrite(t, config, "mesh: "+step.mesh)
		awaitObjects(t, w.istiod, "web", step.want, func(o testbed.IstiodObject) string { return o.Namespace + "/" + o.Kind })
		steady(t)
	}
}

// awaitObjects waits until the objects of a service in istiod are those wanted. show returns the text of an object, which is
// empty for one that does not count; the texts are sorted.
func awaitObjects(t *testing.T, istiod *testbed.Istiod, service string, want []string, show func(testbed.IstiodObject) string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		objects, err := istiod.Objects(ctx)
		if err != nil {
			return err
		}
		var got []string
		for _, o := range objects {
			if text := show(o); text != "" && (strings.HasPrefix(o.Name, service+".") || strings.HasPrefix(o.Name, service+"-")) {
				got = append(got, text)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Errorf("istiod has %v of %s, want %v", got, service, want)
		}
		return nil
	})
}

func entryIn(namespace string) []string { return []string{namespace + "/ServiceEntry"} }

func workloadsIn(namespace string) []string {
	return append(entryIn(namespace), namespace+"/WorkloadEntry", namespace+"/WorkloadEntry")
}
