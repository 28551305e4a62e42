package xds

import (
	"net"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// limits are what clients may take. An istiod has one connection with one stream.
type limits struct {
	connections int
	streams     uint32 // a connection's
	// request is in bytes. The largest one is the first of a delta client that comes from another replica: it names each
	// resource that it has.
	request int
	// handshake is how long a client may take to begin, idle how long a connection lasts without a stream.
	handshake, idle time.Duration
	// A connection without a word is asked for life after alive, and dead without an answer after aliveWithin. istiod
	// asks us every 30 s; more often than ping is refused.
	alive, aliveWithin, ping time.Duration
	// age is how long a connection lasts that is trusted for its certificate: then the client has to show one that is
	// trusted still, after ageGrace at most. It loses nothing by it.
	age, ageGrace time.Duration
}

const maxRequest = 16 << 20

func defaultLimits() limits {
	return limits{
		connections: 64, streams: 2, request: maxRequest,
		handshake: 10 * time.Second, idle: time.Minute,
		alive: 30 * time.Second, aliveWithin: 10 * time.Second, ping: 5 * time.Second,
		age: 30 * time.Minute, ageGrace: 10 * time.Second,
	}
}

// options are those of a gRPC server that holds the limits. Certificates says whether clients show them.
func (l limits) options(certificates bool) []grpc.ServerOption {
	alive := keepalive.ServerParameters{Time: l.alive, Timeout: l.aliveWithin, MaxConnectionIdle: l.idle}
	if certificates {
		alive.MaxConnectionAge, alive.MaxConnectionAgeGrace = l.age, l.ageGrace
	}
	return []grpc.ServerOption{
		grpc.MaxConcurrentStreams(l.streams), grpc.MaxRecvMsgSize(l.request), grpc.ConnectionTimeout(l.handshake),
		grpc.KeepaliveParams(alive),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: l.ping, PermitWithoutStream: true}),
	}
}

// counting is a listener that takes a number of connections, and lets others wait until one of these ends.
type counting struct {
	net.Listener
	most int
	// count is told of each change, full when all are taken, though once a fullAgain only.
	count func(open int)
	full  func()

	mu     sync.Mutex
	open   int
	warned time.Time
}

// fullAgain is how long after a word that all connections are taken another may come.
const fullAgain = time.Minute

func newCounting(listener net.Listener, most int, count func(open int), full func()) *counting {
	return &counting{Listener: netutil.LimitListener(listener, most), most: most, count: count, full: full}
}

// Accept implements net.Listener.
func (l *counting) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.change(1)
	return &counted{Conn: connection, gone: sync.OnceFunc(func() { l.change(-1) })}, nil
}

func (l *counting) change(by int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open += by
	l.count(l.open)
	if now := time.Now(); l.open == l.most && now.Sub(l.warned) >= fullAgain {
		l.warned = now
		l.full()
	}
}

// counted is a connection of a counting listener.
type counted struct {
	net.Conn
	gone func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	defer c.gone()
	return c.Conn.Close()
}
