package consul

import (
	"context"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/testutil"
)

// eventually waits until ok returns true.
func eventually(t *testing.T, message string, ok func() bool) {
	t.Helper()
	testutil.EventuallyTrue(t, message, ok)
}

// within polls a condition and reports whether it became true in time.
func within(d time.Duration, holds func() bool) bool {
	for deadline := time.Now().Add(d); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// runReal runs a source until the test ends.
func runReal(t *testing.T, opts Options) *harness {
	t.Helper()
	p := newHarness(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.open(opts)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.source.Run(ctx, p.sink); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			t.Logf("log:\n%s", p.log)
		}
	})
	return p
}

func TestHTTP2SharesConnections(t *testing.T) {
	h := newHolder(t, 1000)
	h.EnableHTTP2 = true
	h.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 100} // the minimum that RFC 9113 recommends
	h.StartTLS()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	runReal(t, Options{Connections: 15, Config: &api.Config{Address: h.URL, TLSConfig: api.TLSConfig{CAPem: ca}}})
	all := func() bool { _, _, held, _ := h.state(); return held == 1001 }
	eventually(t, "every service is polled, and the list", all)
	// One connection for the list, one for the reads, ten with 100 polls each.
	if conns, made, _, proto := h.state(); made > 12 || proto != "HTTP/2.0" {
		t.Errorf("got %d connections, %d in total, protocol %s", conns, made, proto)
	}
	h.cut()
	eventually(t, "every service is polled again after the connections broke", all)
	if conns, _, _, _ := h.state(); conns > 15 {
		t.Errorf("got %d connections", conns)
	}
}

// TestRedirectIsNotFollowed verifies that the source follows no redirect. The target of a redirect would get the token.
func TestRedirectIsNotFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect to %s was followed, with the token %q", r.URL, r.Header.Get("X-Consul-Token"))
	}))
	t.Cleanup(other.Close)
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusMovedPermanently))
	t.Cleanup(server.Close)
	p := runReal(t, Options{Config: &api.Config{Address: server.URL, Token: "secret"}})
	eventually(t, "the log line", func() bool { return strings.Contains(p.log.String(), "reason=unexpected") })
	p.logged("301", 1)
}

func TestUnknownCertificateIsUnreachable(t *testing.T) {
	h := newHolder(t, 1)
	h.StartTLS()
	p := runReal(t, Options{Config: &api.Config{Address: h.URL}})
	eventually(t, "the log line", func() bool { return strings.Contains(p.log.String(), "unknown authority") })
	p.logged("TLS settings", 1)
}

func TestHTTP1BoundsConnections(t *testing.T) {
	for name, start := range map[string]func(h *holder){
		"plain": func(h *holder) { h.Start() },
		"TLS":   func(h *holder) { h.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHolder(t, 100)
			start(h)
			config := &api.Config{Address: h.URL}
			config.TLSConfig.InsecureSkipVerify = h.TLS != nil
			p := runReal(t, Options{Connections: 20, Config: config})
			// 20 connections: one for the list, 2 for reads, 17 for polls.
			all := func() bool { _, _, held, _ := h.state(); return held == 1+17 && len(p.sink.all()) == 101 }
			eventually(t, "the complete state and held polls", all)
			if conns, _, _, proto := h.state(); conns > 20 || proto != "HTTP/1.1" {
				t.Errorf("got %d connections, protocol %s", conns, proto)
			}
			h.cut()
			eventually(t, "polls are held again after the connections broke", all)
			if conns, _, _, _ := h.state(); conns > 20 {
				t.Errorf("got %d connections", conns)
			}
		})
	}
}

func TestSocket(t *testing.T) {
	h := newHolder(t, 3)
	listener, err := net.Listen("unix", t.TempDir()+"/consul.sock")
	if err != nil {
		t.Fatal(err)
	}
	_ = h.Listener.Close()
	h.Listener = listener
	h.Start()
	p := runReal(t, Options{Config: &api.Config{Address: "unix://" + listener.Addr().String()}})
	eventually(t, "the complete state", func() bool { return len(p.sink.all()) == 4 })
}

func TestWrongOptions(t *testing.T) {
	config := &api.Config{}
	for want, opts := range map[string]Options{
		"needs a name":            {Config: config},
		"needs a configuration":   {Name: "x"},
		"must be 3 or more":       {Name: "x", Config: config, Connections: 2},
		"between 0 and 8m0s":      {Name: "x", Config: config, Wait: time.Hour},
		"no such file":            {Name: "x", Config: &api.Config{TokenFile: "nowhere"}},
		"Unknown protocol":        {Name: "x", Config: &api.Config{Address: "ftp://x"}},
		"both client cert and c":  {Name: "x", Config: &api.Config{TLSConfig: api.TLSConfig{CertPEM: []byte("x")}}},
		"TLS files: open nowhere": {Name: "x", Config: &api.Config{TLSConfig: api.TLSConfig{CertFile: "nowhere"}}},
	} {
		if _, err := New(opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, expected %q", opts, err, want)
		}
	}
}
