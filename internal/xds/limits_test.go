package xds

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// TestLimits holds each limit of what a client may take, and that within it nobody notices.
func TestLimits(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*limits)
		tls  bool
		test func(*testing.T, *serving)
	}{
		"connections": {func(l *limits) { l.connections = 2 }, false, testConnections},
		"streams":     {func(l *limits) { l.streams = 2 }, false, testStreams},
		"request":     {func(l *limits) { l.request = 10_000 }, false, testRequest},
		"idle":        {func(l *limits) { l.idle = 200 * time.Millisecond }, false, testIdle},
		"keepalive":   {func(l *limits) { l.alive, l.aliveWithin = time.Second, 100*time.Millisecond }, false, testKeepalive},
		"pings":       {func(l *limits) { l.ping = time.Hour }, false, testPings},
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
				options.TLS.Clients = []string{Anyone}
				test.test = func(t *testing.T, s *serving) {
					c := connect(t, s.Address(), clientTLS(t, ours, ours), entryType)
					c.await(entryType)
					eventually(t, func() bool { return c.failed() != nil }, "its certificate is trusted for ever")
				}
			}
			test.test(t, serve(t, &script{complete: true}, options))
		})
	}
}

// testConnections: who comes when all connections are taken waits, which is told, and comes in when one ends.
func testConnections(t *testing.T, s *serving) {
	connect(t, s.Address(), nil, entryType).await(entryType)
	if strings.Contains(s.log.String(), "all connections are taken") {
		t.Error("it says that all are taken while one is free")
	}
	second := connection(t, s.Address(), nil)
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(second).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leaving := &client{t: t, stream: stream}
	leaving.receive()
	leaving.ask(entryType)
	leaving.await(entryType)
	eventually(t, func() bool { return strings.Contains(s.log.String(), "all connections are taken") }, "nobody is told")
	if open := testutil.ToFloat64(s.metrics.connections); open != 2 {
		t.Errorf("%v connections are counted", open)
	}
	third := make(chan *client, 1)
	go func() {
		c := &client{t: t, stream: dial(t, s.Address(), nil)}
		c.receive()
		c.ask(entryType)
		third <- c
	}()
	select {
	case <-third:
		t.Error("a third one came in")
	case <-time.After(200 * time.Millisecond): // as long as it takes to see that nothing happens
	}
	_ = second.Close()
	(<-third).await(entryType)
}

// testStreams: one more stream waits for another to end.
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
		t.Errorf("a third stream: %v", err)
	}
	for _, end := range ends {
		end()
	}
	if _, err := client.StreamAggregatedResources(t.Context()); err != nil {
		t.Errorf("when others have ended: %v", err)
	}
}

// testRequest: a larger request ends its stream.
func testRequest(t *testing.T, s *serving) {
	c := connect(t, s.Address(), nil, entryType)
	c.await(entryType)
	c.send(&discovery.DiscoveryRequest{TypeUrl: entryType, VersionInfo: strings.Repeat("x", 10_000)})
	eventually(t, func() bool { return status.Code(c.failed()) == codes.ResourceExhausted }, "a large request is taken")
}

// testIdle: a connection without a stream ends, one with a stream that has nothing to say doesn't.
func testIdle(t *testing.T, s *serving) {
	quiet := connect(t, s.Address(), nil, entryType)
	quiet.await(entryType)
	idle := connection(t, s.Address(), nil)
	idle.Connect()
	for state := idle.GetState(); state != connectivity.Ready; state = idle.GetState() {
		idle.WaitForStateChange(t.Context(), state)
	}
	idle.WaitForStateChange(t.Context(), connectivity.Ready)
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.connections) == 1 }, "an idle connection stays")
	if err := quiet.failed(); err != nil {
		t.Errorf("a stream without news ended: %v", err)
	}
}

// raw is a client that speaks HTTP/2 as far as the test does, and answers no ping.
func raw(t *testing.T, s *serving) (net.Conn, *http2.Framer) {
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

func greet(t *testing.T, connection net.Conn, framer *http2.Framer) {
	t.Helper()
	if _, err := connection.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
}

// untilClosed reads until the server hangs up, and returns why, where it says so.
func untilClosed(t *testing.T, framer *http2.Framer) (why http2.ErrCode) {
	t.Helper()
	for {
		frame, err := framer.ReadFrame()
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Fatal("the server holds on to it")
		}
		if err != nil {
			return why
		}
		if away, ok := frame.(*http2.GoAwayFrame); ok {
			why = away.ErrCode
		}
	}
}

// testKeepalive: who doesn't answer is dead.
func testKeepalive(t *testing.T, s *serving) {
	connection, framer := raw(t, s)
	greet(t, connection, framer)
	untilClosed(t, framer)
}

// testPings: who asks for life too often is sent away.
func testPings(t *testing.T, s *serving) {
	connection, framer := raw(t, s)
	greet(t, connection, framer)
	for range 10 {
		if err := framer.WritePing(false, [8]byte{}); err != nil {
			break
		}
	}
	if why := untilClosed(t, framer); why != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("it was sent away for %s", why)
	}
}

// testHandshake: who says nothing at all is sent away.
func testHandshake(t *testing.T, s *serving) {
	_, framer := raw(t, s)
	untilClosed(t, framer)
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.connections) == 0 }, "the connection is counted still")
}
