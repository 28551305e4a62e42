package mcp

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xds "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/isthmus-mesh/isthmus/internal/reread"
)

// What clients may take. An istiod has one connection with one stream. A stream whose client reads slowly costs the size
// of all resources, so together they bound memory.
const (
	maxConnections = 64
	maxStreams     = 2 // a connection's
	// maxRequest is in bytes. The largest request is the first one of a delta client that comes from another replica:
	// it names each resource that it has.
	maxRequest = 16 << 20
	// handshakeTime is how long a client may take to begin.
	handshakeTime = 10 * time.Second
	// A connection without a word is asked for life after aliveAfter, and dead without an answer after aliveWithin.
	// istiod asks us every 30 s; more often than leastPing is refused.
	aliveAfter, aliveWithin, leastPing = 30 * time.Second, 10 * time.Second, 5 * time.Second
	// maxAge is how long a connection lasts that is trusted for its certificate: then the client has to show one that
	// is trusted still. It loses nothing by it.
	maxAge, maxAgeGrace = 30 * time.Minute, 10 * time.Second
	// drainTime is how long the clients may take to receive what is under way when the server stops.
	drainTime = 5 * time.Second
)

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
	alive := keepalive.ServerParameters{Time: aliveAfter, Timeout: aliveWithin}
	creds := insecure.NewCredentials()
	if options.TLS != nil {
		var err error
		if s.tls, err = newRotating(*options.TLS, cmp.Or(options.reread, reread.Every), options.Log); err != nil {
			return nil, err
		}
		creds = s.tls.credentials()
		if options.TLS.ClientCAFile != "" {
			alive.MaxConnectionAge, alive.MaxConnectionAgeGrace = maxAge, maxAgeGrace
		}
	}
	listener, err := net.Listen("tcp", options.Address)
	if err != nil {
		return nil, fmt.Errorf("xds address %q: %w", options.Address, err)
	}
	s.listener = netutil.LimitListener(listener, maxConnections)
	ctx, hangUp := context.WithCancel(context.Background())
	s.hangUp = hangUp
	guard := gatekeeper{metrics: options.Metrics, log: options.Log}
	if options.TLS != nil {
		guard.clients = options.TLS.Clients
	}
	s.grpc = grpc.NewServer(
		grpc.Creds(creds), grpc.StreamInterceptor(guard.stream),
		grpc.MaxConcurrentStreams(maxStreams), grpc.MaxRecvMsgSize(maxRequest), grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(alive),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPing, PermitWithoutStream: true}),
	)
	watcher := newObserver(options.Log, options.Metrics)
	discovery.RegisterAggregatedDiscoveryServiceServer(s.grpc,
		ads{xds.NewServer(ctx, from, watcher.callbacks(), quietLog(options.Log)...)})
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
