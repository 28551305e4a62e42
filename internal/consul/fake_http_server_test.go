package consul

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// holder is an HTTP server with many services that holds every blocking query. It counts connections.
type holder struct {
	*httptest.Server
	services int

	mu    sync.Mutex
	conns map[net.Conn]bool
	// made is the total number of connections. held is the number of held queries. proto is the protocol of the last request.
	made, held int
	proto      string
	drop       context.CancelFunc
	dropped    context.Context
}

func newHolder(t *testing.T, services int) *holder {
	h := &holder{services: services, conns: map[net.Conn]bool{}}
	h.dropped, h.drop = context.WithCancel(context.Background())
	h.Server = httptest.NewUnstartedServer(h)
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.Config.ConnState = func(c net.Conn, state http.ConnState) {
		h.mu.Lock()
		defer h.mu.Unlock()
		switch state {
		case http.StateNew:
			h.conns[c] = true
			h.made++
		case http.StateClosed, http.StateHijacked:
			delete(h.conns, c)
		}
	}
	t.Cleanup(func() { h.drop(); h.Close() })
	return h
}

// ServeHTTP implements http.Handler.
func (h *holder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Consul-Index", "10")
	w.Header().Set("X-Consul-Query-Backend", "blocking-query")
	w.Header().Set("X-Consul-Lastcontact", "0")
	if r.URL.Query().Get("index") != "" {
		h.hold(r)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/v1/health/service/")
	if ok {
		fmt.Fprint(w, instances(name, "n1/"+name))
		return
	}
	if r.URL.Path != servicesPath {
		fmt.Fprint(w, "[]")
		return
	}
	h.mu.Lock()
	all := make([]string, h.services)
	h.mu.Unlock()
	for i := range all {
		all[i] = fmt.Sprint("s", i)
	}
	fmt.Fprint(w, names(all...))
}

func (h *holder) hold(r *http.Request) {
	h.mu.Lock()
	h.held++
	h.proto = r.Proto
	dropped := h.dropped
	h.mu.Unlock()
	select {
	case <-r.Context().Done():
	case <-dropped.Done():
	}
	h.mu.Lock()
	h.held--
	h.mu.Unlock()
	if dropped.Err() != nil {
		panic(http.ErrAbortHandler)
	}
}

// grow increases the number of listed services.
func (h *holder) grow(services int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.services = services
}

// cut closes all connections, like a server restart.
func (h *holder) cut() {
	h.mu.Lock()
	h.drop()
	h.dropped, h.drop = context.WithCancel(context.Background())
	h.mu.Unlock()
	h.CloseClientConnections()
}

func (h *holder) state() (conns, made, held int, proto string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns), h.made, h.held, h.proto
}
