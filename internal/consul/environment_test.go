package consul

import (
	"net/http"
	"testing"

	"github.com/hashicorp/consul/api"
)

// TestEnvironmentIsIgnored verifies that options missing in a source's configuration are not taken from the environment.
// The environment describes one Consul, and isthmus can follow several.
func TestEnvironmentIsIgnored(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN", "not-for-you")
	t.Setenv("CONSUL_HTTP_SSL_VERIFY", "false")
	t.Run("token", func(t *testing.T) {
		h := newHolder(t, 3)
		h.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if token := r.Header.Get("X-Consul-Token"); token != "" {
				t.Errorf("%s: the request contains the token %q", r.URL, token)
			}
			h.ServeHTTP(w, r)
		})
		h.Start()
		runReal(t, Options{Config: &api.Config{Address: h.URL}}).synced(t)
	})
	t.Run("verification", func(t *testing.T) {
		h := newHolder(t, 3)
		h.StartTLS()
		runReal(t, Options{Config: &api.Config{Address: h.URL}}).awaitFailure(t, "unreachable", nil)
	})
}
