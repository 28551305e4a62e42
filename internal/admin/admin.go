// Package admin serves the administrative endpoints over HTTP: metrics, health, readiness, status and, if enabled, profiles.
// All endpoints are read-only.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server is the administrative server. Use Listen to create one.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Options configure a Server.
type Options struct {
	// Address is the host:port to listen on. An empty host means all interfaces, port 0 a free port.
	Address string
	// Metrics are served at /metrics.
	Metrics prometheus.Gatherer
	// Ready returns nil if everything that the sources reported is written, and otherwise an error that says what is missing.
	Ready func() error
	// Status returns the value that /status serves as JSON.
	Status func() any
	// Profiles enables /debug/pprof/.
	Profiles bool
}

// Listen opens the port. Therefore an address in use is reported before the sources start.
func Listen(options Options) (*Server, error) {
	listener, err := net.Listen("tcp", options.Address)
	if err != nil {
		return nil, fmt.Errorf("admin: listen on %q: %w", options.Address, err)
	}
	return &Server{
		listener: listener,
		http:     &http.Server{Handler: handler(options), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute},
	}, nil
}

// handler returns the handler of all endpoints.
func handler(options Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(options.Metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := options.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(options.Status()) // the client is gone
	})
	if options.Profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// Address returns the address that the server listens on.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if s.http.Shutdown(ctx) != nil {
			s.http.Close()
		}
	})
	defer stop()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin: serve: %w", err)
	}
	return nil
}
