package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestPodsKeepTheirInboundListeners verifies, with a real sidecar, that the inbound side of a pod with a Kubernetes Service
// stays as it is without isthmus: the filter chains of its port with their protocol and mutual TLS, and its cluster. This
// holds before, while and after the pod is registered in Consul, and after restarts of istiod and isthmus.
func TestPodsKeepTheirInboundListeners(t *testing.T) {
	for output, start := range map[string]func(*inboundHarness, *testing.T){
		"kube": (*inboundHarness).startKubeOutput, "xds": (*inboundHarness).startXDSOutput,
	} {
		t.Run(output, func(t *testing.T) {
			w := newInboundHarness(t)
			// A WorkloadEntry with the address of the pod takes its filter chains away: the test sees the defect.
			w.config = configFile(t, "mesh: {endpoints: workloadEntry, podRanges: [198.18.0.0/15]}")
			w.register(t, w.self, w.vm)
			start(w, t)
			w.awaitKinds(t, w.self, "ServiceEntry", "WorkloadEntry")
			w.restartIstiod(t)
			w.awaitInbound(t, func(now string) error {
				if strings.Contains(now, w.chain()) {
					return fmt.Errorf("%s is still among the chains", w.chain())
				}
				return nil
			})
			if output == "kube" {
				eventually(t, func(ctx context.Context) error {
					found, err := w.isthmus.Metric(ctx, "isthmus_findings", "reason", "pod_address")
					if err == nil && found != 1 {
						err = fmt.Errorf("%v findings, want 1", found)
					}
					return err
				})
			}

			// The default moves the pod into the ServiceEntry, and leaves the virtual machine as it is.
			w.isthmus.Stop()
			rewrite(t, w.config, "mesh: {podRanges: [198.18.0.0/15]}")
			w.restartIsthmus(t)
			w.awaitKinds(t, w.self, "ServiceEntry")
			if output == "kube" {
				w.awaitKinds(t, w.vm, "ServiceEntry", "WorkloadEntry")
			}
			w.restartIstiod(t)
			w.awaitInbound(t, w.isAsBefore)
			w.testChanges(t)
		})
	}
}

// testChanges changes, removes and adds the registration of the pod, and restarts isthmus and istiod.
func (w *inboundHarness) testChanges(t *testing.T) {
	changed := w.self
	changed.meta = map[string]string{"version": "v2"}
	other := instance{service: w.self.service, id: "other", address: "203.0.113.10", port: podPort}
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"the registration changes", func() { w.register(t, changed) }},
		{"an instance joins", func() { w.register(t, other) }},
		{"the pod leaves", func() { w.deregister(t, w.self) }},
		{"isthmus restarts", func() { w.isthmus.Stop(); w.restartIsthmus(t) }},
		{"the pod returns", func() { w.register(t, w.self) }},
		{"istiod restarts", func() { w.restartIstiod(t) }},
		{"the service leaves", func() { w.deregister(t, w.self, other) }},
		{"istiod restarts without it", func() { w.restartIstiod(t) }},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.do()
			w.awaitProbe(t) // istiod and the sidecar have processed the step
			if err := w.isAsBefore(w.inbound(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// awaitProbe changes another service and waits until the sidecar has the change.
func (w *inboundHarness) awaitProbe(t *testing.T) {
	t.Helper()
	w.probes++
	probe := instance{service: "probe", id: "probe", address: "203.0.113.11", port: 1000 + w.probes}
	w.register(t, probe)
	eventually(t, func(ctx context.Context) error {
		return w.says(ctx, fmt.Sprint("203.0.113.11:", probe.port, "::"), "curl", "--silent", "http://127.0.0.1:15000/clusters")
	})
}

// isAsBefore compares the inbound side of the sidecar with that of before isthmus.
func (w *inboundHarness) isAsBefore(now string) error {
	if diff := cmp.Diff(w.before, now); diff != "" {
		return fmt.Errorf("inbound configuration (-before +now):\n%s", diff)
	}
	return nil
}

func (w *inboundHarness) startKubeOutput(t *testing.T) {
	t.Helper()
	var err error
	if w.isthmus, err = w.run.StartIsthmus(w.consul, w.kube, "--namespace", namespace, "--config", w.config); err != nil {
		t.Fatal(err)
	}
	if err := w.isthmus.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// startXDSOutput starts isthmus with the xds output, and another istiod that reads it.
func (w *inboundHarness) startXDSOutput(t *testing.T) {
	t.Helper()
	address := w.startXDS(t, "--config", w.config)
	if err := w.isthmus.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.istiod.Stop()
	var err error
	w.istiod, err = w.run.StartIstiodWith(t.Context(), w.kube, testbed.IstiodOptions{
		Pod: w.pod, ConfigSources: []string{"{address: " + strconv.Quote("xds://"+address) + "}"},
	})
	if err != nil {
		t.Fatal(err)
	}
}
