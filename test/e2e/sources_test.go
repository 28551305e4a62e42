package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestSeveralSources verifies that isthmus reads several Consuls in parallel. A service in both becomes two, each with
// its own hosts. When one of them is down, at the start or later, its services stay and those of the other keep
// changing.
func TestSeveralSources(t *testing.T) {
	w := newHarness(t)
	east := *w
	var err error
	if east.consul, err = w.run.StartConsul(t.Context(), testbed.ConsulOptions{Name: "east", Datacenter: "dc2", HCL: manyConnections}); err != nil {
		t.Fatal(err)
	}
	here := instance{service: "web", id: "web", address: "10.0.1.1", port: 8080, meta: map[string]string{"version": "v1"}}
	there := instance{service: "web", id: "web", address: "10.0.2.1", port: 8080, meta: map[string]string{"version": "v1"}}
	w.register(t, here)
	east.register(t, there)
	daemon := w.startWith(t, fmt.Sprintf("sources: [{name: west, address: %q}, {name: east, address: %q}]", w.consul.Address, east.consul.Address))
	if err := daemon.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitHosts(t, "web.west", "web.service.consul", "web.service.dc1.consul")
	w.awaitHosts(t, "web.east", "web.service.dc2.consul")

	east.consul.Kill()
	here.meta = map[string]string{"version": "v2"}
	w.register(t, here)
	w.awaitVersions(t, "10.0.1.1 v2", "10.0.2.1 v1")

	// A start while one of them is down does not delay the changes of the other.
	daemon.Stop()
	daemon = w.startWith(t, fmt.Sprintf("sources: [{name: west, address: %q}, {name: east, address: %q}]", w.consul.Address, east.consul.Address))
	here.meta = map[string]string{"version": "v3"}
	w.register(t, here)
	w.awaitVersions(t, "10.0.1.1 v3", "10.0.2.1 v1")
	if !strings.Contains(daemon.Log(), "source=east") {
		t.Errorf("the log does not name the failing source:\n%s", daemon.Log())
	}
}

// startWith starts a daemon with a configuration and without the flags for Consul.
func (w *harness) startWith(t *testing.T, content string) *testbed.Isthmus {
	t.Helper()
	config := filepath.Join(t.TempDir(), "isthmus.yaml")
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon, err := w.run.StartIsthmus(nil, w.kube, "--namespace", namespace, "--config", config)
	if err != nil {
		t.Fatal(err)
	}
	return daemon
}

func (w *harness) awaitHosts(t *testing.T, entry string, want ...string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		got, err := w.istio.NetworkingV1().ServiceEntries(namespace).Get(ctx, entry, metav1.GetOptions{})
		if err == nil && !slices.Equal(got.Spec.Hosts, want) {
			err = fmt.Errorf("hosts %v, not %v", got.Spec.Hosts, want)
		}
		return err
	})
}

// awaitVersions waits until the WorkloadEntries are exactly these, "address version".
func (w *harness) awaitVersions(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		workloads, err := w.istio.NetworkingV1().WorkloadEntries(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var got []string
		for _, workload := range workloads.Items {
			got = append(got, workload.Spec.Address+" "+workload.Spec.Labels["version"])
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Errorf("%v, not %v", got, want)
		}
		return nil
	})
}

// TestMergedSources verifies that merged datacenters make one service, with each endpoint in its own region. When one
// of them is down at a start, its endpoints stay and those of the other keep changing.
func TestMergedSources(t *testing.T) {
	w := newHarness(t)
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	var err error
	if w.istiod, err = w.run.StartIstiod(t.Context(), w.kube); err != nil {
		t.Fatal(err)
	}
	if w.envoy, err = w.run.StartEnvoy(t.Context(), w.istiod); err != nil {
		t.Fatal(err)
	}
	east := *w
	if east.consul, err = w.run.StartConsul(t.Context(), testbed.ConsulOptions{Name: "east", Datacenter: "dc2", HCL: manyConnections}); err != nil {
		t.Fatal(err)
	}
	here := instance{service: "web", id: "web", address: "10.0.1.1", port: 8080}
	there := instance{service: "web", id: "web", address: "10.0.2.1", port: 8080}
	w.register(t, here)
	east.register(t, there)
	content := fmt.Sprintf("sources: [{name: west, address: %q, merge: true}, {name: east, address: %q, merge: true}]",
		w.consul.Address, east.consul.Address)
	daemon := w.startWith(t, content)
	w.awaitHosts(t, "web.west", "web.service.consul")
	w.awaitEndpoints(t, here.cluster(), "10.0.1.1:8080", "10.0.2.1:8080")
	endpoints, err := w.envoy.Endpoints(t.Context(), here.cluster())
	if err != nil {
		t.Fatal(err)
	}
	if endpoints[0].Region != "dc1" || endpoints[1].Region != "dc2" {
		t.Errorf("regions of %v", endpoints)
	}

	daemon.Stop()
	east.consul.Kill()
	w.startWith(t, content)
	more := instance{service: "web", id: "more", address: "10.0.1.2", port: 8080}
	w.register(t, more)
	w.awaitEndpoints(t, here.cluster(), "10.0.1.1:8080", "10.0.1.2:8080", "10.0.2.1:8080")
	w.deregister(t, here)
	w.awaitEndpoints(t, here.cluster(), "10.0.1.2:8080", "10.0.2.1:8080")
}
