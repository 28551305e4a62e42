package consul

import (
	"encoding/pem"
	"net/http"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/consul/detect"

	"github.com/hashicorp/consul/api"
)

// Where 100 requests a connection are too few, the server is asked how many it allows.
func TestServerIsAskedForItsStreams(t *testing.T) {
	for name, test := range map[string]struct{ allowed, held int }{
		"as many as Consul allows": {250, 301},
		// One for the list, 100 services each on two connections, less three sentinels that have a place too.
		"no more than must be": {100, 201},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHolder(t, 300)
			h.EnableHTTP2 = true
			h.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: test.allowed}
			h.StartTLS()
			ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
			p := runReal(t, Options{Connections: 4, Config: &api.Config{Address: h.URL, TLSConfig: api.TLSConfig{CAPem: ca}}})
			eventually(t, "everything is told and polls are held", func() bool {
				_, _, held, _ := h.state()
				return held == test.held && len(p.sink.all()) == 301
			})
			if conns, _, _, _ := h.state(); conns > 4 {
				t.Errorf("%d connections", conns)
			}
		})
	}
}

// TestServicesOutgrowTheirStreams holds that a source which began with few services gets more streams once they are many.
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
	eventually(t, "those that came too", holds(301))
	p.logged(detect.MessageOversubscribed, 0)
}
