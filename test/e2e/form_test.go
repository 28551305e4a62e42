package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestMove verifies that a service keeps its endpoints in Envoy while an upgrade, an instance or the configuration moves it
// between the forms of its endpoints, and that the form does not change when isthmus restarts or the instance leaves.
func TestMove(t *testing.T) {
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := newHarness(t)
	vm := instance{service: "web", id: "vm", address: "10.1.0.1", port: 8081}
	w.register(t, vm, instance{service: "web", id: "vm-2", address: "10.1.0.2", port: 8082})
	config := configFile(t, "mesh: {endpoints: workloadEntry}") // as before the form was chosen for each service
	var err error
	if w.istiod, err = w.run.StartIstiod(t.Context(), w.kube); err != nil {
		t.Fatal(err)
	}
	if w.isthmus, err = w.run.StartIsthmus(w.consul, w.kube, "--config", config); err != nil {
		t.Fatal(err)
	}
	if w.envoy, err = w.run.StartEnvoy(t.Context(), w.istiod); err != nil {
		t.Fatal(err)
	}
	both := []string{"10.1.0.1:8081", "10.1.0.2:8082"}
	w.awaitEndpoints(t, vm.cluster(), both...)
	steady := w.watchSteady(t, vm.cluster(), both...)
	pod := instance{service: "web", id: "pod", address: "10.244.0.9", port: 8083, health: "critical"}
	for _, step := range []struct {
		name string
		do   func()
		want int // WorkloadEntries
	}{
		{"upgrade with private addresses", func() {
			w.isthmus.Stop()
			rewrite(t, config, "mesh: {podRanges: []}")
			w.restartIsthmus(t)
		}, 0},
		{"ranges without the instances", func() { rewrite(t, config, "mesh: {podRanges: [10.244.0.0/16]}") }, 2},
		{"a pod registers", func() { w.register(t, pod) }, 0},
		{"the pod leaves", func() { w.deregister(t, pod) }, 0},
		{"restart", func() { w.isthmus.Stop(); w.restartIsthmus(t) }, 0},
		{"other ranges", func() { rewrite(t, config, "mesh: {podRanges: [10.245.0.0/16]}") }, 2},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.do()
			w.awaitForm(t, vm, step.want)
			steady(t)
		})
	}
}

// awaitForm waits until the entry of a service and this number of WorkloadEntries are all of its objects.
func (w *harness) awaitForm(t *testing.T, i instance, workloads int) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		names, err := w.names(ctx, namespace, i.service)
		if err != nil {
			return err
		}
		entry, err := w.istio.NetworkingV1().ServiceEntries(namespace).Get(ctx, i.entryName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(names) != 1+workloads || (entry.Spec.GetWorkloadSelector() == nil) != (workloads == 0) {
			return fmt.Errorf("objects %v, endpoints %v; want %d WorkloadEntries", slices.Sorted(slices.Values(names)), entry.Spec.GetEndpoints(), workloads)
		}
		return nil
	})
}
