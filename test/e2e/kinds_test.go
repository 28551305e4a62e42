package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/hashicorp/consul/api"

	isthmusd "github.com/isthmus-mesh/isthmus/internal/daemon"
	"github.com/isthmus-mesh/isthmus/internal/engine"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestKindsAreLeftOut verifies that UDP ports, services of Consul's own mesh and copies of Services of Kubernetes are not in
// the mesh by default, that a change of the configuration adds them and removes them while the daemon runs, and that the guard
// does not take that for a mass removal.
func TestKindsAreLeftOut(t *testing.T) {
	w := newHarness(t)
	testbed.RequireConsul(t, testbed.ConsulTransparentProxy, "transparent proxy")
	const services = 4
	for n := range services {
		synced := atPort(fmt.Sprint("synced-", n), n+1)
		synced.node, synced.meta = "k8s-sync", map[string]string{"external-source": "kubernetes", "external-k8s-ns": "shop"}
		w.register(t, synced)
	}
	dns, udp := atPort("dns", 11), atPort("dns", 11)
	udp.id, udp.tags = "dns:8080:udp", []string{"udp"}
	app := atPort("app", 12)
	w.register(t, dns, udp, app)
	proxy := instance{service: "app-sidecar-proxy", id: "app-sidecar-proxy", address: "10.7.0.12", port: 21000}.registration()
	proxy.Service.Kind = api.ServiceKindConnectProxy
	proxy.Service.Proxy = &api.AgentServiceConnectProxyConfig{
		DestinationServiceName: app.service, DestinationServiceID: app.id, Mode: api.ProxyModeTransparent,
	}
	if _, err := w.consul.Client().Catalog().Register(proxy, nil); err != nil {
		t.Fatal(err)
	}
	file := configFile(t, "")
	daemon, err := w.run.StartIsthmus(w.consul, w.kube, "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	// await waits for the number of copied services in the mesh; the service dns always has one endpoint.
	await := func(copies, apps int) {
		t.Helper()
		eventually(t, func(ctx context.Context) error {
			found := map[string]int{}
			for n := range services {
				names, err := w.names(ctx, namespace, fmt.Sprint("synced-", n))
				if err != nil {
					return err
				}
				found["copies"] += min(len(names), 1)
			}
			for _, service := range []string{"dns", "app"} {
				names, err := w.names(ctx, namespace, service)
				if err != nil {
					return err
				}
				found[service] = len(names)
			}
			if found["copies"] != copies || found["dns"] != 2 || found["app"] != apps*2 {
				return fmt.Errorf("objects: %v", found)
			}
			return nil
		})
	}
	await(0, 0)
	for reason, want := range map[string]float64{"kubernetes_sync": services, "connect_sidecar": 1, "udp": 1} {
		if got, err := daemon.Metric(t.Context(), "isthmus_findings", "reason", reason); err != nil || got != want {
			t.Errorf("%v findings with reason %s, want %v (%v)", got, reason, want, err)
		}
	}
	rewrite(t, file, `sources: [{services: {includeKinds: [kubernetes_sync, connect_sidecar]}}]`)
	await(services, 1)
	rewrite(t, file, `sources: [{services: {includeKinds: [connect_native]}}]`)
	await(0, 0)
	told(t, daemon.Log(), isthmusd.MsgRestartNeeded, 0)
	told(t, daemon.Log(), engine.MessageMassRemoval, 0)
}

// TestNoCallsToUDPPorts verifies that Envoy gets the TCP port of a container that also has a UDP port, as Registrator registers
// them, and no cluster for a service of Consul's own mesh.
func TestNoCallsToUDPPorts(t *testing.T) {
	w := sharedHarness(t)
	tcp := instance{service: "kibana-9300", id: "docker1:elastic_kibana_1:9300", address: "10.8.20.1", port: 32781}
	udp := tcp
	udp.id, udp.port, udp.tags = tcp.id+":udp", 32774, []string{"udp"}
	w.register(t, tcp, udp)
	native := instance{service: "quote-native", id: "quote-native-1", address: "10.8.20.2", port: 7443}.registration()
	native.Service.Connect = &api.AgentServiceConnect{Native: true}
	if _, err := w.consul.Client().Catalog().Register(native, nil); err != nil {
		t.Fatal(err)
	}
	w.awaitEndpoints(t, tcp.cluster(), "10.8.20.1:32781")
	w.settle(t)
	w.awaitEndpoints(t, tcp.cluster(), "10.8.20.1:32781")
	names, err := w.names(t.Context(), namespace, "quote-native")
	if err != nil || len(names) > 0 {
		t.Errorf("the native service has the objects %q, %v", names, err)
	}
}
