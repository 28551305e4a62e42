// Package faults injects faults between the real servers of a test and their clients: Wire into the connection, Front
// into the responses.
package faults

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"k8s.io/client-go/rest"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// Wire is a TCP proxy in front of a server. TLS passes through it unchanged.
type Wire struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

// NewWire starts a proxy in front of the server at an address, host:port. It stops when the test ends.
func NewWire(t testing.TB, server string) *Wire {
	t.Helper()
	port, err := testbed.FreePort() // Restore listens at the same address again
	if err != nil {
		t.Fatal(err)
	}
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	w := &Wire{t: t, proxy: toxiproxy.NewProxy(api, "wire", fmt.Sprint("127.0.0.1:", port), server)}
	w.Restore()
	t.Cleanup(w.Cut)
	return w
}

// REST returns the client configuration of an API server through a new wire.
func REST(t testing.TB, server *rest.Config) (*Wire, *rest.Config) {
	t.Helper()
	address, err := url.Parse(server.Host)
	if err != nil {
		t.Fatal(err)
	}
	w := NewWire(t, address.Host)
	config := rest.CopyConfig(server)
	config.Host = "https://" + w.Address()
	return w, config
}

// Address returns the address of the proxy for clients.
func (w *Wire) Address() string { return w.proxy.Listen }

// Cut closes all connections and accepts no new ones.
func (w *Wire) Cut() { w.proxy.Stop() }

// Restore accepts connections again after Cut.
func (w *Wire) Restore() {
	w.t.Helper()
	if err := w.proxy.Start(); err != nil {
		w.t.Fatal(err)
	}
}

// Poison adds a toxic of toxiproxy ("latency", "timeout", "reset_peer", "limit_data") with its attributes to both
// directions. The units are milliseconds and bytes. The returned function removes the toxic.
func (w *Wire) Poison(fault string, attributes map[string]int64) (heal func()) {
	w.t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		content, err := json.Marshal(map[string]any{
			"name": fault + "_" + stream, "type": fault, "stream": stream, "attributes": attributes,
		})
		if err == nil {
			_, err = w.proxy.Toxics.AddToxicJson(strings.NewReader(string(content)))
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return func() {
		for _, stream := range []string{"upstream", "downstream"} {
			if err := w.proxy.Toxics.RemoveToxic(w.t.Context(), fault+"_"+stream); err != nil {
				w.t.Error(err)
			}
		}
	}
}
