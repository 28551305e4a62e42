package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// startRegistry starts an istiod with Consul as a registry, and an Envoy that it configures.
func (w *harness) startRegistry(t *testing.T, flags ...string) {
	t.Helper()
	requireAll(t, testbed.IsthmusIstiodBinary, testbed.EnvoyBinary)
	w.startIstiodWith(t, w.registry(flags...))
}

// registry returns the options of an istiod with Consul as a registry.
func (w *harness) registry(flags ...string) testbed.IstiodOptions {
	return testbed.IstiodOptions{Consul: append([]string{"--consulserverURL", w.consul.Address}, flags...)}
}

// TestRegistry verifies that services arrive through the registry inside istiod with their subsets, weights and
// localities, in both forms, and that every change arrives.
func TestRegistry(t *testing.T) {
	for _, form := range []string{"inline", "workloadEntry"} {
		t.Run(form, func(t *testing.T) {
			w := newHarness(t)
			w.startRegistry(t, "--consul-config", configFile(t, "mesh: {endpoints: "+form+"}"))
			w.testServiceChanges(t)
		})
	}
}

// TestRegistryPushes verifies that a change of an instance is a push of endpoints alone, by istiod's own counters, and that
// a new service is a push of clusters too.
func TestRegistryPushes(t *testing.T) {
	w := newHarness(t)
	w.startRegistry(t)
	web := instance{service: "web", id: "a", address: "10.1.0.1", port: 8081}
	w.register(t, web)
	w.awaitEndpoints(t, web.cluster(), "10.1.0.1:8081")
	before := w.pushes(t)
	for n := 2; n <= 5; n++ {
		web.address = fmt.Sprintf("10.1.0.%d", n)
		w.register(t, web)
		w.awaitEndpoints(t, web.cluster(), web.address+":8081")
	}
	after := w.pushes(t)
	for _, kind := range []string{"cds", "lds", "rds", "nds"} {
		if after[kind] != before[kind] {
			t.Errorf("4 changes of an instance caused %v pushes of %s", after[kind]-before[kind], kind)
		}
	}
	if got := after["eds"] - before["eds"]; got < 4 {
		t.Errorf("4 changes of an instance caused %v pushes of endpoints", got)
	}
	db := instance{service: "db", id: "a", address: "10.1.0.1", port: 8081}
	w.register(t, db)
	w.awaitEndpoints(t, db.cluster(), "10.1.0.1:8081")
	if got := w.pushes(t)["cds"] - after["cds"]; got != 1 {
		t.Errorf("a new service caused %v pushes of clusters", got)
	}
}

// pushes returns the number of pushes of istiod by type.
func (w *harness) pushes(t *testing.T) map[string]float64 {
	t.Helper()
	pushes := map[string]float64{}
	for _, kind := range []string{"cds", "eds", "lds", "rds", "nds"} {
		count, err := w.istiod.Metric(t.Context(), "pilot_xds_pushes", "type", kind)
		if err != nil {
			t.Fatal(err)
		}
		pushes[kind] = count
	}
	return pushes
}

// TestRegistryReadiness verifies that istiod is not ready before the content of Consul or the last known good state is
// known, that it becomes ready when Consul returns, and that a start while Consul is down serves the state file.
func TestRegistryReadiness(t *testing.T) {
	w := newHarness(t)
	state := filepath.Join(t.TempDir(), "state")
	web := instance{service: "web", id: "a", address: "10.1.0.1", port: 8081}
	w.register(t, web)
	w.consul.Stop()
	requireAll(t, testbed.IsthmusIstiodBinary)
	var err error
	if w.istiod, err = w.run.LaunchIstiod(t.Context(), w.kube, w.registry("--consul-state-file", state)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error { // the debug port is open, but istiod is not ready
		failing, err := w.istiod.Metric(ctx, "isthmus_consul_failing_queries")
		if err == nil && failing == 0 {
			err = errors.New("no query to Consul has failed yet")
		}
		return err
	})
	if err := w.istiod.IsReady(t.Context()); err == nil {
		t.Error("istiod is ready before anything is known of Consul")
	}
	if err := w.consul.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.register(t, web) // the agent is in memory
	eventually(t, w.istiod.IsReady)

	w.consul.Stop()
	w.istiod.Stop()
	w.startRegistry(t, "--consul-state-file", state)
	w.awaitEndpoints(t, web.cluster(), "10.1.0.1:8081")
}
