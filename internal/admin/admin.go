// Package admin serves the administrative endpoints over HTTP: metrics, health, readiness, status and, if enabled, profiles.
// All endpoints are read-only.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/isthmus-mesh/isthmus/internal/connlimit"
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
	// Metrics are served at /metrics. Listen registers the metrics of the server itself.
	Metrics *prometheus.Registry
	// Ready returns nil if everything that the sources reported is written, and otherwise an error that says what is missing.
	Ready func() error
	// Status returns the value that /status serves as JSON.
	Status func() any
	// Profiles enables /debug/pprof/.
	Profiles bool
	Log      *slog.Logger
}

// limits bound the connections. Kubelets and Prometheus use one or two each.
var limits = connlimit.Limits{Total: 128, PerClient: 16}

const (
	// readTimeout is how long a client may take to send the header of a request, and then to send the body.
	readTimeout = 5 * time.Second
	// writeTimeout is how long a client may take to receive a response. Profiles have their own duration on top.
	writeTimeout = 10 * time.Second
	// idleTimeout is how long a connection stays open between two requests.
	idleTimeout = time.Minute
	// maxAge is the age at which a connection is closed after its current request.
	maxAge = 10 * time.Minute
	// maxHeader is the largest request header in bytes.
	maxHeader = 16 << 10
)

// Listen opens the port. Therefore an address in use is reported before the sources start.
func Listen(options Options) (*Server, error) {
	listener, err := net.Listen("tcp", options.Address)
	if err != nil {
		return nil, fmt.Errorf("admin: listen on %q: %w", options.Address, err)
	}
	return &Server{
		listener: connlimit.New(listener, connlimit.Options{
			Limits: limits, Name: "admin", Log: options.Log, Metrics: connlimit.NewMetrics(options.Metrics, "admin"),
		}),
		http: &http.Server{
			Handler: limit(maxAge, handler(options)), ReadHeaderTimeout: readTimeout, WriteTimeout: writeTimeout,
			IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ConnContext: withStart,
			ErrorLog: slog.NewLogLogger(options.Log.Handler(), slog.LevelDebug),
		},
	}, nil
}

// startKey is the context key of the time at which a connection was accepted.
type startKey struct{}

func withStart(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, startKey{}, time.Now())
}

// limit closes a connection that has reached an age after its current request, and limits the time for the body of a
// request. http.Server.ReadTimeout would limit that time too, but it also ends a profile that takes longer.
func limit(age time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if start, ok := r.Context().Value(startKey{}).(time.Time); ok && time.Since(start) >= age {
			w.Header().Set("Connection", "close")
		}
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout)) // every connection has deadlines
		}
		next.ServeHTTP(w, r)
	})
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
