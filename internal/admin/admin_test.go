package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server until the test ends and returns its URL.
func serve(t *testing.T, options Options) string {
	t.Helper()
	options.Address, options.Log = "127.0.0.1:0", slog.New(slog.DiscardHandler)
	server, err := Listen(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + server.Address()
}

// get returns the status code and body of a response.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// TestEndpoints verifies the response of each endpoint.
func TestEndpoints(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "isthmus_test"}))
	var ready atomic.Bool
	url := serve(t, Options{Metrics: registry, Ready: func() error {
		if !ready.Load() {
			return errors.New("source consul is not synced")
		}
		return nil
	}, Status: func() any { return map[string]int{"sources": 2} }})
	for _, test := range []struct {
		path   string
		status int
		body   string
	}{
		{"/healthz", 200, "ok\n"},
		{"/readyz", 503, "source consul is not synced\n"},
		{"/metrics", 200, "isthmus_test 0\n"},
		{"/status", 200, "{\n  \"sources\": 2\n}\n"},
		{"/debug/pprof/", 404, ""},
		{"/", 404, ""},
	} {
		if status, body := get(t, url+test.path); status != test.status || !strings.Contains(body, test.body) {
			t.Errorf("GET %s: %d %q", test.path, status, body)
		}
	}
	ready.Store(true)
	if status, body := get(t, url+"/readyz"); status != 200 || body != "ok\n" {
		t.Errorf("GET /readyz: %d %q", status, body)
	}
	response, err := http.Post(url+"/healthz", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /healthz: %d", response.StatusCode)
	}
}

// TestProfiles verifies that profiles are served if they are enabled.
func TestProfiles(t *testing.T) {
	url := serve(t, Options{Metrics: prometheus.NewRegistry(), Ready: func() error { return nil }, Profiles: true})
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1"} {
		if status, _ := get(t, url+path); status != 200 {
			t.Errorf("GET %s: %d", path, status)
		}
	}
}
