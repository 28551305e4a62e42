package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/isthmus-mesh/isthmus/internal/engine"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestAgentLosesItsServices verifies that the services of a Consul agent that restarts without its data stay callable
// through Envoy, and that the hold names the node.
func TestAgentLosesItsServices(t *testing.T) {
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := newHarness(t)
	w.register(t, fleet()...) // on another node
	agent, err := w.run.StartConsul(t.Context(), testbed.ConsulOptions{Name: "vm-2", Client: true, Join: w.consul})
	if err != nil {
		t.Fatal(err)
	}
	application := newServer(t, "hello")
	var local []instance
	for n := range 6 {
		local = append(local, instance{service: fmt.Sprint("local-", n), address: application.address, port: application.port})
	}
	registerAt(t, agent, local)
	if err := w.startMesh(t.Context(), testbed.OnLoopback); err != nil {
		t.Fatal(err)
	}
	callAll := func() {
		t.Helper()
		for _, i := range local {
			eventually(t, func(ctx context.Context) error { return w.get(ctx, "http://"+i.host()+"/", "hello") })
		}
	}
	callAll()

	agent.Kill()
	w.forgetServices(t, "vm-2")
	if err := agent.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Until the agent is back, its services may be critical and held for a moment.
	w.awaitDeregistered(t, local)
	awaitMetric(t, w.isthmus, "isthmus_held_services", float64(len(local)))
	w.awaitWorkloads(t, 2*fleetSize+len(local))
	callAll()
	awaitText(t, w.isthmus.Log, engine.MessageMassRemoval, "nodes=vm-2")
	w.awaitHold(t, `"services": 6`, `"vm-2"`)

	eventually(t, func(context.Context) error {
		out, err := isthmus(t, "release", "consul", "--kubeconfig", w.kube.Kubeconfig, "--namespace", namespace)
		if err != nil || out != "consul: released, 6 instances, 6 services, all on node vm-2\n" {
			return fmt.Errorf("%q, %w", out, err)
		}
		return nil
	})
	w.awaitWorkloads(t, 2*fleetSize)
	registerAt(t, agent, local)
	w.awaitWorkloads(t, 2*fleetSize+len(local))
}

// registerAt registers instances with an agent, as their applications do.
func registerAt(t *testing.T, agent *testbed.Consul, instances []instance) {
	t.Helper()
	for _, i := range instances {
		registration := &api.AgentServiceRegistration{Name: i.service, Address: i.address, Port: i.port}
		if err := agent.Client().Agent().ServiceRegister(registration); err != nil {
			t.Fatal(err)
		}
	}
}

// forgetServices removes the services from the data of a stopped agent.
func (w *harness) forgetServices(t *testing.T, node string) {
	t.Helper()
	data, err := w.run.Folder("consul-" + node)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"services", "checks"} {
		if err := os.RemoveAll(filepath.Join(data, kind)); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitDeregistered waits until Consul has none of some services.
func (w *harness) awaitDeregistered(t *testing.T, instances []instance) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		services, _, err := w.consul.Client().Catalog().Services((&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return err
		}
		for _, i := range instances {
			if _, ok := services[i.service]; ok {
				return fmt.Errorf("Consul has %s", i.service)
			}
		}
		return nil
	})
}

// awaitHold waits until the published hold contains some texts.
func (w *harness) awaitHold(t *testing.T, texts ...string) {
	t.Helper()
	client, err := kubernetes.NewForConfig(w.kube.REST)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		found, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, "isthmus-consul", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, text := range texts {
			if status := found.Data["status"]; !strings.Contains(status, text) {
				return fmt.Errorf("the hold doesn't contain %s: %s", text, status)
			}
		}
		return nil
	})
}
