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

	"github.com/isthmus-mesh/isthmus/internal/filewatch"
)

// drainTime is how long the clients may take to receive what is under way when the server stops.
const drainTime = 5 * time.Second

// server is the gRPC server that istiods connect to.
type server struct {
	listener net.Listener
	grpc     *grpc.Server
	// hangUp ends all streams, each after the response that is under way.
	hangUp context.CancelFunc
	tls    *rotating
}

// listen opens the port.
func listen(options Options, from *store) (*server, error) {
	s := &server{}
	log, metrics := options.Log, options.Metrics
	creds, guard := insecure.NewCredentials(), gatekeeper{metrics: metrics, log: log}
	if options.TLS != nil {
		var err error
		if s.tls, err = newRotating(*options.TLS, cmp.Or(options.reread, filewatch.Interval), log); err != nil {
			return nil, err
		}
		creds, guard.clients = s.tls.credentials(), options.TLS.Clients
	}
	listener, err := net.Listen("tcp", options.Address)
	if err != nil {
		return nil, fmt.Errorf("xds address %q: %w", options.Address, err)
	}
	limits := defaultLimits()
	if options.limits != nil {
		limits = *options.limits
	}
	s.listener = newCounting(listener, limits.connections, func(open int) { metrics.connections.Set(float64(open)) }, func() {
		log.Warn("all connections are taken: who comes now waits until another goes", "connections", limits.connections)
	})
	ctx, hangUp := context.WithCancel(context.Background())
	s.hangUp = hangUp
	certificates := options.TLS != nil && options.TLS.ClientCAFile != ""
	s.grpc = grpc.NewServer(append(limits.options(certificates), grpc.Creds(creds), grpc.StreamInterceptor(guard.stream))...)
	discovery.RegisterAggregatedDiscoveryServiceServer(s.grpc,
		ads{xds.NewServer(ctx, from, newObserver(log, metrics).callbacks(), quietLog(log)...)})
	return s, nil
}

// ads is the aggregated discovery service, and no other of those that the server could be.
type ads struct{ xds.Server }

// run serves until ctx ends.
func (s *server) run(ctx context.Context) error {
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		s.drain()
	})
	if s.tls != nil {
		go s.tls.watch(ctx)
	}
	err := s.grpc.Serve(s.listener)
	if stop() { // it ended by itself
		s.hangUp()
		return fmt.Errorf("xds server: %w", err)
	}
	<-drained
	return nil
}

// drain sends the clients away: first no new stream is taken, then those that are open end.
func (s *server) drain() {
	timer := time.AfterFunc(drainTime, s.grpc.Stop)
	defer timer.Stop()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.grpc.GracefulStop()
	}()
	s.hangUp()
	<-gone
}
