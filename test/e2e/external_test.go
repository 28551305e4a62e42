package e2e

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestExternalService verifies by calls through Envoy that a service outside of the mesh, registered by its name as
// consul-esm and Terraform do, is callable by the name that it has outside: the server gets this name in the TLS handshake
// and in the Host header.
func TestExternalService(t *testing.T) {
	requireAll(t)
	w := newHarness(t)
	if err := w.startMesh(t.Context(), `mesh:
  addresses: {allow: [localhost]}
  externalServices: [{services: [stripe], host: api.stripe.test}]
  tlsOrigination: [{services: [stripe], insecureSkipVerify: true}]
`); err != nil {
		t.Fatal(err)
	}
	provider := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.TLS.ServerName + " " + r.Host)) // the caller may have closed the connection
	}))
	t.Cleanup(provider.Close)
	stripe := instance{
		service: "stripe", id: "stripe", node: "stripe", address: "localhost",
		port: provider.Listener.Addr().(*net.TCPAddr).Port, meta: map[string]string{"secure": "true"},
	}
	w.register(t, stripe)
	eventually(t, func(ctx context.Context) error {
		return w.get(ctx, "http://api.stripe.test/", "api.stripe.test api.stripe.test")
	})
	// The host of Consul's DNS stays, with the server name of the host outside.
	eventually(t, func(ctx context.Context) error {
		return w.get(ctx, "http://"+stripe.host()+"/", "api.stripe.test "+stripe.host())
	})
}
