package xds

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/isthmus-mesh/isthmus/internal/connlimit"
)

// TestLimits verifies each limit of a client, and that clients within the limits are not affected.
func TestLimits(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*limits)
		tls  bool
		test func(*testing.T, *serving)
	}{
		"connections": {func(l *limits) { l.connections = connlimit.Limits{Total: 4, PerClient: 2} }, false, testConnections},
		"streams":     {func(l *limits) { l.streams = 2 }, false, testStreams},
		"request":     {func(l *limits) { l.request = 10_000 }, false, testRequest},
		"idle":        {func(l *limits) { l.idle = 200 * time.Millisecond }, false, testIdle},
		"keepalive":   {func(l *limits) { l.keepalive, l.keepaliveTimeout = time.Second, 100*time.Millisecond }, false, testKeepalive},
		"pings":       {func(l *limits) { l.minPingInterval = time.Hour }, false, testPings},
		"handshake":   {func(l *limits) { l.handshake = 200 * time.Millisecond }, false, testHandshake},
		"age":         {func(l *limits) { l.age, l.ageGrace = 500*time.Millisecond, 100*time.Millisecond }, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := defaultLimits()
			test.set(&limits)
			options := Options{limits: &limits}
			if test.tls {
				ours := newAuthority(t)
				options.TLS = newFiles(t, ours, ours)
				options.TLS.Clients = []string{AnyClient}
				test.test = func(t *testing.T, s *serving) {
					c := connect(t, s.Address(), clientTLS(t, ours, ours), entryType)
					c.await(entryType)
					eventually(t, func() bool { return c.failed() != nil }, "the connection never reached its maximum age")
				}
			}
			test.test(t, serve(t, &fakeState{complete: true}, options))
		})
	}
}

// testConnections verifies that a connection above the limit of its client is closed, that this is logged, and that a
// connection is accepted when another one closes.
func testConnections(t *testing.T, s *serving) {
	connect(t, s.Address(), nil, entryType).await(entryType)
	if strings.Contains(s.log.String(), "level=WARN") {
		t.Errorf("the limit is logged although one connection is free:\n%s", s.log)
	}
	secondConn := connection(t, s.Address(), nil)
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(secondConn).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second := &client{t: t, stream: stream}
	second.receive()
	second.request(entryType)
	second.await(entryType)
	third := &client{t: t}
	third.stream, _ = discovery.NewAggregatedDiscoveryServiceClient(connection(t, s.Address(), nil)).
		StreamAggregatedResources(t.Context(), grpc.WaitForReady(false))
	if third.stream != nil {
		third.receive()
		eventually(t, func() bool { return status.Code(third.failed()) == codes.Unavailable }, "a third connection was accepted")
	}
	eventually(t, func() bool { return strings.Contains(s.log.String(), "limit=2") }, "the limit is not logged")
	if open := testutil.ToFloat64(s.metrics.connections.Open); open != 2 {
		t.Errorf("%v connections are counted, want 2", open)
	}
	_ = secondConn.Close()
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.connections.Open) == 1 }, "the closed connection is counted")
	connect(t, s.Address(), nil, entryType).await(entryType)
}

// testStreams verifies that a stream above the limit waits until another one ends.
func testStreams(t *testing.T, s *serving) {
	client := discovery.NewAggregatedDiscoveryServiceClient(connection(t, s.Address(), nil))
	var ends []context.CancelFunc
	for range 2 {
		ctx, end := context.WithCancel(t.Context())
		stream, err := client.StreamAggregatedResources(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&discovery.DiscoveryRequest{TypeUrl: entryType}); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := client.StreamAggregatedResources(ctx); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a third stream: error %v, want a timeout", err)
	}
	for _, end := range ends {
		end()
	}
	if _, err := client.StreamAggregatedResources(t.Context()); err != nil {
		t.Errorf("a stream after the others ended: %v", err)
	}
}

// testRequest verifies that a request above the limit ends its stream.
func testRequest(t *testing.T, s *serving) {
	c := connect(t, s.Address(), nil, entryType)
	c.await(entryType)
	c.send(&discovery.DiscoveryRequest{TypeUrl: entryType, VersionInfo: strings.Repeat("x", 10_000)})
	eventually(t, func() bool { return status.Code(c.failed()) == codes.ResourceExhausted }, "a request above the limit was accepted")
}

// testIdle verifies that a connection without a stream is closed, and that one with an idle stream is not.
func testIdle(t *testing.T, s *serving) {
	withStream := connect(t, s.Address(), nil, entryType)
	withStream.await(entryType)
	idle := connection(t, s.Address(), nil)
	idle.Connect()
	for state := idle.GetState(); state != connectivity.Ready; state = idle.GetState() {
		idle.WaitForStateChange(t.Context(), state)
	}
	idle.WaitForStateChange(t.Context(), connectivity.Ready)
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.connections.Open) == 1 }, "the connection without a stream stays open")
	if err := withStream.failed(); err != nil {
		t.Errorf("an idle stream ended: %v", err)
	}
}

// dialRaw opens a TCP connection with an HTTP/2 framer. It does not answer pings.
func dialRaw(t *testing.T, s *serving) (net.Conn, *http2.Framer) {
	t.Helper()
	connection, err := net.Dial("tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return connection, http2.NewFramer(connection, connection)
}

// handshake sends the HTTP/2 connection preface.
func handshake(t *testing.T, connection net.Conn, framer *http2.Framer) {
	t.Helper()
	if _, err := connection.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
}

// untilClosed reads until the server closes the connection. It returns the code of the GOAWAY frame, if there was one.
func untilClosed(t *testing.T, framer *http2.Framer) (code http2.ErrCode) {
	t.Helper()
	for {
		frame, err := framer.ReadFrame()
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Fatal("the server did not close the connection")
		}
		if err != nil {
			return code
		}
		if away, ok := frame.(*http2.GoAwayFrame); ok {
			code = away.ErrCode
		}
	}
}

// testKeepalive verifies that a connection is closed when the client does not answer a ping.
func testKeepalive(t *testing.T, s *serving) {
	connection, framer := dialRaw(t, s)
	handshake(t, connection, framer)
	untilClosed(t, framer)
}

// testPings verifies that a connection is closed when the client sends pings too often.
func testPings(t *testing.T, s *serving) {
	connection, framer := dialRaw(t, s)
	handshake(t, connection, framer)
	for range 10 {
		if err := framer.WritePing(false, [8]byte{}); err != nil {
			break
		}
	}
	if code := untilClosed(t, framer); code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("the connection was closed with %s", code)
	}
}

// testHandshake verifies that a connection is closed when the client sends nothing.
func testHandshake(t *testing.T, s *serving) {
	_, framer := dialRaw(t, s)
	untilClosed(t, framer)
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.connections.Open) == 0 }, "the closed connection is still counted")
}
