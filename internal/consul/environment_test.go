package consul

import (
	"net/http"
	"testing"

	"github.com/hashicorp/consul/api"
)

// Of several Consuls, the environment is about one; what a source's configuration doesn't name isn't taken from there.
func TestEnvironmentIsNotTaken(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN", "not-for-you")
	t.Setenv("CONSUL_HTTP_SSL_VERIFY", "false")
	t.Run("token", func(t *testing.T) {
		h := newHolder(t, 3)
		h.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if token := r.Header.Get("X-Consul-Token"); token != "" {
				t.Errorf("%s: the token %q was shown", r.URL, token)
			}
			h.ServeHTTP(w, r)
		})
		h.Start()
		runReal(t, Options{Config: &api.Config{Address: h.URL}}).synced(t)
	})
	t.Run("verification", func(t *testing.T) {
		h := newHolder(t, 3)
		h.StartTLS()
		runReal(t, Options{Config: &api.Config{Address: h.URL}}).trouble(t, "unreachable", nil)
	})
}
