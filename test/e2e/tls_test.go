package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestTLSOrigination verifies that callers with plain HTTP reach a provider with HTTPS only, registered as Spring Cloud
// does, if the configuration enables TLS origination for it, with the configured name. Callers with TLS still reach it.
func TestTLSOrigination(t *testing.T) {
	w := sharedHarness(t)
	i := secureProvider(t)
	w.register(t, i)
	eventually(t, func(ctx context.Context) error {
		return w.get(ctx, "http://"+i.host()+"/", "hello tls-origination.example.com")
	})
	endpoint := fmt.Sprintf("%s:%d", i.address, i.port)
	w.awaitEndpoints(t, "outbound|443||"+i.host(), endpoint)
	w.awaitEndpoints(t, fmt.Sprintf("outbound|%d||%s", i.port, i.host()), endpoint)

	// A service that the configuration does not select is reachable with TLS only.
	other := instance{service: "tls-only", id: "tls-only", address: "10.22.0.1", port: 8443, meta: map[string]string{"secure": "true"}}
	w.register(t, other)
	w.awaitEndpoints(t, "outbound|443||"+other.host(), "10.22.0.1:8443")
	w.awaitEndpoints(t, other.cluster())
}

// TestTLSOriginationByXDS verifies the same with the xds output.
func TestTLSOriginationByXDS(t *testing.T) {
	w := newXDSHarness(t, "--config", configFile(t, onLoopback))
	i := secureProvider(t)
	w.register(t, i)
	eventually(t, func(ctx context.Context) error {
		return w.get(ctx, "http://"+i.host()+"/", "hello tls-origination.example.com")
	})
}

// secureProvider is an instance with HTTPS only. It responds with the name that the client asked for.
func secureProvider(t *testing.T) instance {
	t.Helper()
	provider := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("hello " + r.TLS.ServerName)) // the caller may have closed the connection
	}))
	t.Cleanup(provider.Close)
	address := provider.Listener.Addr().(*net.TCPAddr)
	return instance{
		service: "tls-origination", id: "tls-origination", address: address.IP.String(), port: address.Port,
		meta: map[string]string{"secure": "true"},
	}
}
