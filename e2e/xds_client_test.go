package e2e

import (
	"context"
	"encoding/json"
	"fmt"
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

	"github.com/isthmus-mesh/isthmus/internal/testbed"
)

// TestXDSOverTLS holds that a real istiod takes its services over TLS, from a server whose authority it is given.
func TestXDSOverTLS(t *testing.T) {
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := newWorld(t)
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

// TestXDSProxyless holds that grpc-go's own xds resolver, as a client of istiod, reaches a gRPC service that only Consul
// knows, and goes to the subset that a VirtualService names.
func TestXDSProxyless(t *testing.T) {
	w := newXDSWorld(t, "--config", configFile(t, testbed.OnLoopback))
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
	route := &networkingv1.VirtualService{
		ObjectMeta: metav1.ObjectMeta{Name: "greeter"},
		Spec: networking.VirtualService{Hosts: []string{greeter.host()}, Http: []*networking.HTTPRoute{{
			Route: []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: greeter.host(), Subset: "v2"}}},
		}}},
	}
	if _, err := w.istio.NetworkingV1().VirtualServices("default").Create(t.Context(), route, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitAnswers(t, client, func(answers map[string]int) bool { return answers["v1"] == 0 && answers["v2"] > 0 })
}

// versions tell the servers apart by the health that they answer with.
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

// proxyless returns a client that istiod configures as it does a pod without a sidecar.
func (w *world) proxyless(t *testing.T, target string) grpc_health_v1.HealthClient {
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

// awaitAnswers calls until the answers to 20 calls, counted by version, are as they should be.
func awaitAnswers(t *testing.T, client grpc_health_v1.HealthClient, ok func(map[string]int) bool) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		answers := map[string]int{}
		for range 20 {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			answer, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			cancel()
			if err != nil {
				return err
			}
			for version, status := range versions {
				if answer.GetStatus() == status {
					answers[version]++
				}
			}
		}
		if !ok(answers) {
			return fmt.Errorf("the answers came from %v", answers)
		}
		return nil
	})
}
