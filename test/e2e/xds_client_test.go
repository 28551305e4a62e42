package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/xds"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestXDSOverTLS verifies that istiod reads its services over TLS, from a server with a given authority.
func TestXDSOverTLS(t *testing.T) {
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := newHarness(t)
	authority, err := testbed.NewAuthority("isthmus")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := authority.Issue()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprint("127.0.0.1:", port)
	config := configFile(t, fmt.Sprintf("xds: {tls: {certFile: %s/cert.pem, keyFile: %s/key.pem}}", dir, dir))
	if w.isthmus, err = w.run.StartIsthmus(w.consul, nil, "--output", "xds="+address, "--config", config); err != nil {
		t.Fatal(err)
	}
	i := instance{service: "web", id: "a", address: "10.1.0.1", port: 8081}
	w.register(t, i)
	w.startIstiodFrom(t, fmt.Sprintf("{address: \"xds://%s\", tlsSettings: {mode: SIMPLE, caCertificates: %q}}", address, authority.PEM))
	w.awaitEndpoints(t, i.cluster(), "10.1.0.1:8081")
}

// TestXDSProxyless verifies that grpc-go's xds resolver, as a client of istiod, reaches a gRPC service of Consul,
// splits its calls by the weights of a VirtualService, and uses one subset alone if the VirtualService says so.
func TestXDSProxyless(t *testing.T) {
	w := newXDSHarness(t, "--config", configFile(t, testbed.OnLoopback))
	for version, status := range versions {
		host, port := newHealthServer(t, status)
		w.register(t, instance{
			service: "greeter", id: version, address: host, port: port, meta: map[string]string{"protocol": "grpc", "version": version},
		})
	}
	greeter := instance{service: "greeter"}
	client := w.proxyless(t, "xds:///"+greeter.host()+":80")
	awaitAnswers(t, client, func(answers map[string]int) bool { return answers["v1"] > 0 && answers["v2"] > 0 })
	w.applySubsets(t, greeter)
	w.splitCalls(t, greeter, 80, 20)
	awaitSplit(t, client, 0.8)
	w.splitCalls(t, greeter, 0, 100)
	awaitAnswers(t, client, func(answers map[string]int) bool { return answers["v1"] == 0 && answers["v2"] > 0 })
}

// splitCalls sends the calls of a service to the subsets v1 and v2 by weights.
func (w *harness) splitCalls(t *testing.T, i instance, v1, v2 int32) {
	t.Helper()
	to := func(subset string, weight int32) *networking.HTTPRouteDestination {
		return &networking.HTTPRouteDestination{
			Destination: &networking.Destination{Host: i.host(), Subset: subset}, Weight: weight,
		}
	}
	routes, ctx := w.istio.NetworkingV1().VirtualServices("default"), t.Context()
	_ = routes.Delete(ctx, i.service, metav1.DeleteOptions{}) // there may be none
	route := &networkingv1.VirtualService{
		ObjectMeta: metav1.ObjectMeta{Name: i.service},
		Spec: networking.VirtualService{Hosts: []string{i.host()}, Http: []*networking.HTTPRoute{{
			Route: []*networking.HTTPRouteDestination{to("v1", v1), to("v2", v2)},
		}}},
	}
	if _, err := routes.Create(ctx, route, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitSplit waits until v1 answers this share of 200 calls. The tolerance is exceeded three times in a thousand.
func awaitSplit(t *testing.T, client grpc_health_v1.HealthClient, v1 float64) {
	t.Helper()
	const calls = 200
	off := 3 * math.Sqrt(v1*(1-v1)/calls)
	eventually(t, func(ctx context.Context) error {
		answers, err := callAll(ctx, client, calls)
		if err != nil {
			return err
		}
		if got := float64(answers["v1"]) / calls; math.Abs(got-v1) > off || answers["v1"]+answers["v2"] != calls {
			return fmt.Errorf("the answers came from %v", answers)
		}
		return nil
	})
}

// versions distinguish the servers by the health status that they return.
var versions = map[string]grpc_health_v1.HealthCheckResponse_ServingStatus{
	"v1": grpc_health_v1.HealthCheckResponse_SERVING, "v2": grpc_health_v1.HealthCheckResponse_NOT_SERVING,
}

func newHealthServer(t *testing.T, status grpc_health_v1.HealthCheckResponse_ServingStatus) (host string, port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, answers := grpc.NewServer(), health.NewServer()
	answers.SetServingStatus("", status)
	grpc_health_v1.RegisterHealthServer(server, answers)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "127.0.0.1", listener.Addr().(*net.TCPAddr).Port
}

// proxyless returns a client that istiod configures like a pod without a sidecar.
func (w *harness) proxyless(t *testing.T, target string) grpc_health_v1.HealthClient {
	t.Helper()
	bootstrap, err := json.Marshal(map[string]any{
		"xds_servers": []any{map[string]any{
			"server_uri": w.istiod.XDS, "channel_creds": []any{map[string]any{"type": "insecure"}}, "server_features": []any{"xds_v3"},
		}},
		"node": map[string]any{
			"id":       "sidecar~127.0.0.1~proxyless.default~default.svc.cluster.local",
			"metadata": map[string]any{"GENERATOR": "grpc", "NAMESPACE": "default", "CLUSTER_ID": "Kubernetes"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := xds.NewXDSResolverWithConfigForTesting(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := grpc.NewClient(target, grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return grpc_health_v1.NewHealthClient(connection)
}

// awaitAnswers makes 20 calls, until the responses counted by version are as expected.
func awaitAnswers(t *testing.T, client grpc_health_v1.HealthClient, ok func(map[string]int) bool) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		answers, err := callAll(ctx, client, 20)
		if err == nil && !ok(answers) {
			err = fmt.Errorf("the answers came from %v", answers)
		}
		return err
	})
}

// callAll makes a number of calls and counts the responses by version.
func callAll(ctx context.Context, client grpc_health_v1.HealthClient, calls int) (map[string]int, error) {
	answers := map[string]int{}
	for range calls {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		answer, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		cancel()
		if err != nil {
			return nil, err
		}
		for version, status := range versions {
			if answer.GetStatus() == status {
				answers[version]++
			}
		}
	}
	return answers, nil
}
