package xds

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xds "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/isthmus-mesh/isthmus/internal/connlimit"
	"github.com/isthmus-mesh/isthmus/internal/filewatch"
)

// drainTimeout is how long the clients have to receive the responses in flight when the server stops.
const drainTimeout = 5 * time.Second

// server is the gRPC server that istiods connect to.
type server struct {
	listener net.Listener
	grpc     *grpc.Server
	// endStreams ends each stream after its response in flight.
	endStreams context.CancelFunc
	tls        *reloadingTLS
}

// listen opens the port.
func listen(options Options, store *store) (*server, error) {
	s := &server{}
	log, metrics := options.Log, options.Metrics
	creds, authz := insecure.NewCredentials(), authorizer{metrics: metrics, log: log}
	if options.TLS != nil {
		var err error
		s.tls, err = newReloadingTLS(*options.TLS, cmp.Or(options.reloadInterval, filewatch.Interval), log)
		if err != nil {
			return nil, err
		}
		creds, authz.clients = s.tls.credentials(), options.TLS.Clients
	}
	listener, err := net.Listen("tcp", options.Address)
	if err != nil {
		return nil, fmt.Errorf("xds: listen on %q: %w", options.Address, err)
	}
	limits := defaultLimits()
	if options.limits != nil {
		limits = *options.limits
	}
	limited := connlimit.New(listener, connlimit.Options{
		Limits: limits.connections, Name: "xds", Log: log, Metrics: metrics.connections,
	})
	s.listener, authz.establish = limited, limited.Establish
	ctx, cancel := context.WithCancel(context.Background())
	s.endStreams = cancel
	certificates := options.TLS != nil && options.TLS.ClientCAFile != ""
	s.grpc = grpc.NewServer(append(limits.options(certificates), grpc.Creds(creds), grpc.StreamInterceptor(authz.stream))...)
	discovery.RegisterAggregatedDiscoveryServiceServer(s.grpc,
		aggregated{xds.NewServer(ctx, store, newStreamCallbacks(log, metrics).funcs(), debugLog(log)...)})
	return s, nil
}

// aggregated hides every service of xds.Server except the aggregated discovery service.
type aggregated struct{ xds.Server }

// run serves until ctx ends.
func (s *server) run(ctx context.Context) error {
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		s.drain()
	})
	if s.tls != nil {
		go s.tls.run(ctx)
	}
	err := s.grpc.Serve(s.listener)
	if stop() { // Serve failed before ctx ended
		s.endStreams()
		return fmt.Errorf("xds: serve: %w", err)
	}
	<-drained
	return nil
}

// drain stops the server: it first refuses new streams, and then ends the open ones.
func (s *server) drain() {
	timer := time.AfterFunc(drainTimeout, s.grpc.Stop)
	defer timer.Stop()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.grpc.GracefulStop()
	}()
	s.endStreams()
	<-stopped
}
