package xds

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/isthmus-mesh/isthmus/internal/connlimit/connlimittest"
)

// TestFlood verifies that istiod is served within a second while another client without a certificate, or several clients
// with streams, hold all connections they can. An established istiod keeps its stream.
func TestFlood(t *testing.T) {
	trusted := newAuthority(t)
	for name, test := range map[string]struct {
		tls     bool
		clients []string
		abuse   func(context.Context, net.Conn)
	}{
		"handshakes that never start": {true, []string{"127.0.0.1"}, connlimittest.Hold},
		"streams that read nothing":   {false, []string{"127.0.0.1", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"}, holdUnreadStream},
		"streams in plain text":       {false, []string{"127.0.0.1", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"}, holdStream},
	} {
		t.Run(name, func(t *testing.T) {
			state, options := &fakeState{complete: true}, Options{}
			state.set("a", webEntry("a", "10.0.0.1"))
			var creds credentials.TransportCredentials
			if test.tls {
				options.TLS = newFiles(t, trusted, trusted)
				options.TLS.Clients = []string{AnyClient}
				creds = clientTLS(t, trusted, trusted)
			}
			s := serve(t, state, options)
			steady := &client{t: t}
			var err error
			if steady.stream, err = openFrom(t, "127.0.0.2", s.Address(), creds); err != nil {
				t.Fatal(err)
			}
			steady.receive()
			steady.request(entryType)
			steady.await(entryType, "ns/a.consul")
			for _, abusive := range test.clients {
				connlimittest.Flood(t, abusive, s.Address(), connlimittest.Connections()/len(test.clients), test.abuse)
			}
			connlimittest.Served(t, func() error { return fetchFrom(t, "127.0.0.2", s.Address(), creds) })
			if err := steady.failed(); err != nil {
				t.Errorf("the established stream ended: %v", err)
			}
		})
	}
}

// openFrom opens a stream from a local address.
func openFrom(
	t *testing.T, local, address string, creds credentials.TransportCredentials,
) (discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient, error) {
	t.Helper()
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		return connlimittest.Dialer(local).DialContext(ctx, "tcp", address)
	}
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds), grpc.WithContextDialer(dial),
		grpc.WithAuthority("127.0.0.1"))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = connection.Close() })
	return discovery.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(t.Context())
}

// fetchFrom opens a connection from a local address and receives one response.
func fetchFrom(t *testing.T, local, address string, creds credentials.TransportCredentials) error {
	t.Helper()
	stream, err := openFrom(t, local, address, creds)
	if err != nil {
		return err
	}
	if err := stream.Send(&discovery.DiscoveryRequest{TypeUrl: entryType}); err != nil {
		return err
	}
	response, err := stream.Recv()
	if err != nil {
		return err
	}
	if len(response.GetResources()) != 1 {
		return fmt.Errorf("received %d resources, want 1", len(response.GetResources()))
	}
	return nil
}

// holdStream opens a stream on a connection and keeps it open. It reads all responses.
func holdStream(ctx context.Context, c net.Conn) {
	useStream(ctx, c, func(stream discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient) {
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
		}
	})
}

// holdUnreadStream opens a stream on a connection, requests everything again and again, and reads no response.
func holdUnreadStream(ctx context.Context, c net.Conn) {
	useStream(ctx, c, func(stream discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient) {
		for stream.Send(&discovery.DiscoveryRequest{TypeUrl: entryType}) == nil {
			select {
			case <-stream.Context().Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
}

// useStream opens a stream on a connection and requests the ServiceEntries.
func useStream(ctx context.Context, c net.Conn, use func(discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient)) {
	dialed := make(chan net.Conn, 1)
	dialed <- c
	connection, err := grpc.NewClient("passthrough:///abusive", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case c := <-dialed:
				return c, nil
			default:
				return nil, net.ErrClosed
			}
		}))
	if err != nil {
		return
	}
	defer connection.Close()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(ctx)
	if err != nil {
		return
	}
	_ = stream.Send(&discovery.DiscoveryRequest{TypeUrl: entryType}) // Recv returns the error of the stream
	use(stream)
}
