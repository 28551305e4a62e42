package connlimit

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a Listener that accepts connections during a test.
type server struct {
	*Listener
	metrics *Metrics
	log     *strings.Builder
}

// listen starts a server on loopback.
func listen(t *testing.T, limits Limits) *server {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{metrics: NewMetrics(prometheus.NewRegistry(), "test"), log: &strings.Builder{}}
	s.Listener = New(inner, Options{
		Limits: limits, Name: "test", Log: slog.New(slog.NewTextHandler(s.log, nil)), Metrics: s.metrics,
	})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// open opens a connection from a local address. The accepted connection is nil if the server refuses it.
func (s *server) open(t *testing.T, local string) (client, accepted net.Conn) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(local), 0))}
	client, err := dialer.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	result := make(chan net.Conn, 1)
	go func() {
		c, err := s.Accept()
		if err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		result <- c
	}()
	select {
	case accepted = <-result:
	case <-time.After(100 * time.Millisecond): // Accept waits for a connection that the limits admit
		if isClosed(t, client) {
			_ = s.Close()
			<-result
			return client, nil
		}
		accepted = <-result
	}
	t.Cleanup(func() { _ = accepted.Close() })
	return client, accepted
}

// isClosed reports whether the server closes a connection within a short time.
func isClosed(t *testing.T, client net.Conn) bool {
	t.Helper()
	if err := client.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := client.Read(make([]byte, 1))
	timeout, ok := errors.AsType[net.Error](err)
	return !ok || !timeout.Timeout()
}

// TestLimits verifies which connection is closed at a limit: the table of the package comment.
func TestLimits(t *testing.T) {
	const a, b, c, d = "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"
	for name, test := range map[string]struct {
		limits Limits
		// conns are the clients of the connections in order; a "+" marks an established one, a "!" one that is older than
		// serviceTime. The last connection is at the limit.
		conns []string
		// closed is the index of the connection that is closed.
		closed int
		reason string
	}{
		"oldest pending of the client":         {Limits{Total: 9, PerClient: 2}, []string{b, a + "!", a + "!", a}, 1, clientLimit},
		"established stays":                    {Limits{Total: 9, PerClient: 2}, []string{a + "+!", a + "!", a}, 1, clientLimit},
		"all of the client are young":          {Limits{Total: 9, PerClient: 2}, []string{b, a, a, a}, 3, clientLimit},
		"all of the client are established":    {Limits{Total: 9, PerClient: 2}, []string{b, a + "+", a + "+", a}, 3, clientLimit},
		"pending of the heaviest client":       {Limits{Total: 4, PerClient: 2}, []string{b, a, a, d, c}, 1, totalLimit},
		"pending before established":           {Limits{Total: 4, PerClient: 2}, []string{a + "+", a + "+", b + "!", d + "+", c}, 2, totalLimit},
		"pending of a client with fewer stays": {Limits{Total: 4, PerClient: 2}, []string{a + "+", a + "+", b, c + "+", c}, 4, totalLimit},
		"newest established of the heaviest":   {Limits{Total: 4, PerClient: 2}, []string{b + "+", a + "+", a + "+", d + "+", c}, 2, totalLimit},
		"no client has two more than the new":  {Limits{Total: 4, PerClient: 2}, []string{b + "+", a + "+", a + "+", c + "+", c}, 4, totalLimit},
		"one more established stays":           {Limits{Total: 2, PerClient: 1}, []string{a + "+!", b + "+!", c}, 2, totalLimit},
		"one more pending and young stays":     {Limits{Total: 2, PerClient: 1}, []string{a, b + "+", c}, 2, totalLimit},
		"one more pending and old is closed":   {Limits{Total: 2, PerClient: 1}, []string{a + "!", b + "+", c}, 0, totalLimit},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, test.limits)
			var clients []net.Conn
			for _, spec := range test.conns {
				rest, old := strings.CutSuffix(spec, "!")
				local, established := strings.CutSuffix(rest, "+")
				client, accepted := s.open(t, local)
				if established {
					s.Establish(accepted.RemoteAddr())
				}
				if old {
					accepted.(*conn).since = time.Now().Add(-2 * serviceTime)
				}
				clients = append(clients, client)
			}
			for i, client := range clients {
				if closed := isClosed(t, client); closed != (i == test.closed) {
					t.Errorf("connection %d: closed is %v", i, closed)
				}
			}
			if closed := testutil.ToFloat64(s.metrics.Closed.WithLabelValues(test.reason)); closed != 1 {
				t.Errorf("%v connections are counted as closed for %s, want 1", closed, test.reason)
			}
			if open := testutil.ToFloat64(s.metrics.Open); open != float64(len(test.conns)-1) {
				t.Errorf("%v connections are counted as open, want %d", open, len(test.conns)-1)
			}
			if !strings.Contains(s.log.String(), "reason="+test.reason) {
				t.Errorf("the limit is not logged: %s", s.log)
			}
		})
	}
}

// TestClosedConnectionsAreFree verifies that a closed connection counts no longer, and is counted down once.
func TestClosedConnectionsAreFree(t *testing.T) {
	s := listen(t, Limits{Total: 9, PerClient: 2})
	for range 20 {
		_, accepted := s.open(t, "127.0.0.1")
		_ = accepted.Close()
		_ = accepted.Close()
	}
	if len(s.clients) != 0 || s.total != 0 || testutil.ToFloat64(s.metrics.Open) != 0 {
		t.Errorf("%d connections of %d clients are left", s.total, len(s.clients))
	}
}

// TestTimeouts verifies that a write to a client that does not read fails, and that a connection ends at its maximum age.
func TestTimeouts(t *testing.T) {
	s := listen(t, Limits{Total: 9, PerClient: 9, WriteTimeout: 50 * time.Millisecond, MaxAge: 300 * time.Millisecond})
	client, accepted := s.open(t, "127.0.0.1")
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := accepted.Read(make([]byte, 1)); err != nil {
		t.Errorf("read before the maximum age: %v", err)
	}
	var err error
	for err == nil {
		_, err = accepted.Write(make([]byte, 1<<20))
	}
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("write to a client that does not read: %v, want a timeout", err)
	}
	time.Sleep(300 * time.Millisecond)
	if _, err := accepted.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read after the maximum age: %v, want EOF", err)
	}
}

// TestWithinDescriptors verifies that the limits leave file descriptors for the rest of the process.
func TestWithinDescriptors(t *testing.T) {
	for descriptors, want := range map[int]Limits{
		1 << 20: {Total: 512, PerClient: 64},
		1024:    {Total: 128, PerClient: 64},
		256:     {Total: 32, PerClient: 16},
		20:      {Total: 8, PerClient: 4},
	} {
		if got := (Limits{Total: 512, PerClient: 64}).withinDescriptors(descriptors); got != want {
			t.Errorf("%d descriptors: %+v, want %+v", descriptors, got, want)
		}
	}
}

// TestClientOf verifies which addresses are the same client.
func TestClientOf(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1": "10.0.0.1/32", "::ffff:10.0.0.1": "10.0.0.1/32", "fd00::1:2:3:4": "fd00::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := clientOf(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 1))); got.String() != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
