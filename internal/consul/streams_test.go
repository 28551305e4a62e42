package consul

import (
	"encoding/pem"
	"net/http"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/consul/detect"

	"github.com/hashicorp/consul/api"
)

// TestServerIsAskedForItsStreams verifies that the source asks the server for its limit of streams if 100 requests per
// connection are too few.
func TestServerIsAskedForItsStreams(t *testing.T) {
	for name, test := range map[string]struct{ allowed, held int }{
		"as many as Consul allows": {250, 301},
		// One connection for the list, two connections with 100 services each, less three watches with streams of their own.
		"no more than must be": {100, 201},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHolder(t, 300)
			h.EnableHTTP2 = true
			h.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: test.allowed}
			h.StartTLS()
			ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
			p := runReal(t, Options{Connections: 4, Config: &api.Config{Address: h.URL, TLSConfig: api.TLSConfig{CAPem: ca}}})
			eventually(t, "the complete state and held polls", func() bool {
				_, _, held, _ := h.state()
				return held == test.held && len(p.sink.all()) == 301
			})
			if conns, _, _, _ := h.state(); conns > 4 {
				t.Errorf("got %d connections", conns)
			}
		})
	}
}

// TestServicesOutgrowTheirStreams verifies that a source with few services at the start gets more streams as the number of
// services grows.
func TestServicesOutgrowTheirStreams(t *testing.T) {
	h := newHolder(t, 150)
	h.EnableHTTP2 = true
	h.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 250}
	h.StartTLS()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	p := runReal(t, Options{Connections: 4, Config: &api.Config{Address: h.URL, TLSConfig: api.TLSConfig{CAPem: ca}}})
	holds := func(queries int) func() bool {
		return func() bool { conns, _, held, _ := h.state(); return held == queries && conns <= 4 }
	}
	eventually(t, "all are polled", holds(151))
	h.grow(300)
	p.source.list.Refresh()
	eventually(t, "the added services are polled", holds(301))
	p.logged(detect.MessageOversubscribed, 0)
}
