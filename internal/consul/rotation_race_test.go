package consul

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// TestRefusalOfAnOlderTokenIsNoTrouble verifies that a request that was sent with the token of before a rotation is sent
// again at once with the new token.
func TestRefusalOfAnOlderTokenIsNoTrouble(t *testing.T) {
	const path = "/v1/health/service/"
	for name, overtaken := range map[string]func(r *http.Request) bool{
		"a read": func(r *http.Request) bool {
			return strings.HasPrefix(r.URL.Path, path) && !r.URL.Query().Has("tag") && !r.URL.Query().Has("index")
		},
		"an index query": func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, path) && r.URL.Query().Has("tag") },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMounted(t, map[string]string{"token": "older"})
			h := newHolder(t, 40)
			var rotate sync.Once
			var refused, answered atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case !overtaken(r):
				case r.Header.Get("X-Consul-Token") == "older":
					rotate.Do(func() { m.swap(map[string]string{"token": "newer"}) })
					refused.Add(1)
					http.Error(w, "ACL not found", http.StatusForbidden)
					return
				default:
					answered.Add(1)
				}
				h.ServeHTTP(w, r)
			}))
			t.Cleanup(func() { h.drop(); server.Close() })
			h.Start()
			p := runReal(t, Options{
				Connections: 8, Wait: time.Second, pollFiles: time.Hour,
				Config: &api.Config{Address: server.URL, TokenFile: m.path("token")},
			})
			p.synced(t)
			eventually(t, "requests carry the new token", func() bool { return answered.Load() >= 20 })
			if refused.Load() == 0 {
				t.Error("no request was refused, so the test proves nothing")
			}
			p.logged("level=WARN", 0)
		})
	}
}

// TestIndexQueriesUseTheNewestToken verifies that the index queries of services without a query also carry the newest token.
func TestIndexQueriesUseTheNewestToken(t *testing.T) {
	m := newMounted(t, map[string]string{"token": "older"})
	h := newHolder(t, 40)
	var shown atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("tag") {
			shown.Store(r.Header.Get("X-Consul-Token"))
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { h.drop(); server.Close() })
	h.Start()
	runReal(t, Options{
		Connections: 8, Wait: time.Second, pollFiles: soon, Config: &api.Config{Address: server.URL, TokenFile: m.path("token")},
	})
	eventually(t, "services are queried", func() bool { return shown.Load() == "older" })
	m.swap(map[string]string{"token": "newer"})
	eventually(t, "services are queried with the new token", func() bool { return shown.Load() == "newer" })
}
