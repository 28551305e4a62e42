package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestTLSOrigination holds that a caller who speaks plain HTTP reaches a provider that speaks HTTPS only, as Spring Cloud
// registers one, where the configuration says so: by the name that it expects. Callers who speak TLS go on doing so.
func TestTLSOrigination(t *testing.T) {
	w := sharedWorld(t)
	i := secureProvider(t)
	w.register(t, i)
	eventually(t, func(ctx context.Context) error {
		return w.get(ctx, "http://"+i.host()+"/", "hello tls-origination.example.com")
	})
	endpoint := fmt.Sprintf("%s:%d", i.address, i.port)
	w.awaitEndpoints(t, "outbound|443||"+i.host(), endpoint)
	w.awaitEndpoints(t, fmt.Sprintf("outbound|%d||%s", i.port, i.host()), endpoint)

	// Who isn't named in the configuration is called by TLS only.
	other := instance{service: "tls-only", id: "tls-only", address: "10.22.0.1", port: 8443, meta: map[string]string{"secure": "true"}}
	w.register(t, other)
	w.awaitEndpoints(t, "outbound|443||"+other.host(), "10.22.0.1:8443")
	w.awaitEndpoints(t, other.cluster())
}

// TestTLSOriginationByXDS holds the same where istiod takes what isthmus makes by xDS.
func TestTLSOriginationByXDS(t *testing.T) {
	w := newXDSWorld(t, "--config", configFile(t, onLoopback))
	i := secureProvider(t)
	w.register(t, i)
	eventually(t, func(ctx context.Context) error {
		return w.get(ctx, "http://"+i.host()+"/", "hello tls-origination.example.com")
	})
}

// secureProvider is an instance that answers by HTTPS only, with the name that it was asked for.
func secureProvider(t *testing.T) instance {
	t.Helper()
	provider := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("hello " + r.TLS.ServerName)) // the caller may have gone
	}))
	t.Cleanup(provider.Close)
	address := provider.Listener.Addr().(*net.TCPAddr)
	return instance{
		service: "tls-origination", id: "tls-origination", address: address.IP.String(), port: address.Port,
		meta: map[string]string{"secure": "true"},
	}
}
