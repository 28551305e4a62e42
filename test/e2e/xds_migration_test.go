package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
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
		eventually(t, func(ctx context.Context) error {
			objects, err := w.istiod.Objects(ctx)
			if err != nil {
				return err
			}
			var got []string
			for _, o := range objects {
				if strings.HasPrefix(o.Name, "web.") || strings.HasPrefix(o.Name, "web-") {
					got = append(got, o.Namespace+"/"+o.Kind)
				}
			}
			if slices.Sort(got); !slices.Equal(got, step.want) {
				return fmt.Errorf("istiod has %v, not %v", got, step.want)
			}
			return nil
		})
		steady(t)
	}
}

func entryIn(namespace string) []string { return []string{namespace + "/ServiceEntry"} }

func workloadsIn(namespace string) []string {
	return append(entryIn(namespace), namespace+"/WorkloadEntry", namespace+"/WorkloadEntry")
}
