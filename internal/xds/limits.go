package xds

import (
	"net"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// limits bound the resources that clients use. An istiod uses one connection with one stream.
type limits struct {
	// connections is the number of open connections.
	connections int
	// streams is the number of streams of a connection.
	streams uint32
	// request is the size of a request in bytes. The largest request is the first one of a delta client that comes from
	// another replica: it names each resource that the client has.
	request int
	// handshake is how long the TLS and HTTP/2 handshakes of a connection may take.
	handshake time.Duration
	// idle is how long a connection without a stream stays open.
	idle time.Duration
	// keepalive is how long a connection may be silent before the server sends a ping.
	keepalive time.Duration
	// keepaliveTimeout is how long the server waits for the answer to a ping before it closes the connection.
	keepaliveTimeout time.Duration
	// minPingInterval is how often a client may send a ping. istiod sends one every 30 s.
	minPingInterval time.Duration
	// age is how long a connection with a client certificate stays open. The client then has to show a certificate that is
	// still trusted. It loses no resources by reconnecting.
	age time.Duration
	// ageGrace is how long the streams of such a connection have to end.
	ageGrace time.Duration
}

const maxRequest = 16 << 20

func defaultLimits() limits {
	return limits{
		connections: 64, streams: 2, request: maxRequest,
		handshake: 10 * time.Second, idle: time.Minute,
		keepalive: 30 * time.Second, keepaliveTimeout: 10 * time.Second, minPingInterval: 5 * time.Second,
		age: 30 * time.Minute, ageGrace: 10 * time.Second,
	}
}

// options returns the options of a gRPC server with these limits. The age applies if clients have certificates.
func (l limits) options(certificates bool) []grpc.ServerOption {
	params := keepalive.ServerParameters{Time: l.keepalive, Timeout: l.keepaliveTimeout, MaxConnectionIdle: l.idle}
	if certificates {
		params.MaxConnectionAge, params.MaxConnectionAgeGrace = l.age, l.ageGrace
	}
	return []grpc.ServerOption{
		grpc.MaxConcurrentStreams(l.streams), grpc.MaxRecvMsgSize(l.request), grpc.ConnectionTimeout(l.handshake),
		grpc.KeepaliveParams(params),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: l.minPingInterval, PermitWithoutStream: true}),
	}
}

// countingListener accepts a limited number of connections. Others wait until a connection ends.
type countingListener struct {
	net.Listener
	limit int
	// onChange is called with the number of open connections after each change.
	onChange func(open int)
	// onFull is called when the limit is reached, at most once per fullInterval.
	onFull func()

	// mu guards the fields below. onChange and onFull are called while it is held; they must not use the listener.
	mu     sync.Mutex
	open   int
	fullAt time.Time
}

// fullInterval is the shortest time between two calls of onFull.
const fullInterval = time.Minute

func newCountingListener(listener net.Listener, limit int, onChange func(open int), onFull func()) *countingListener {
	return &countingListener{
		Listener: netutil.LimitListener(listener, limit), limit: limit, onChange: onChange, onFull: onFull,
	}
}

// Accept implements net.Listener.
func (l *countingListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.add(1)
	return &countedConn{Conn: connection, onClose: sync.OnceFunc(func() { l.add(-1) })}, nil
}

func (l *countingListener) add(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open += n
	l.onChange(l.open)
	if now := time.Now(); l.open == l.limit && now.Sub(l.fullAt) >= fullInterval {
		l.fullAt = now
		l.onFull()
	}
}

// countedConn is a connection of a countingListener.
type countedConn struct {
	net.Conn
	onClose func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	defer c.onClose()
	return c.Conn.Close()
}
