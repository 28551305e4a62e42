package client

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// closeGrace is the time in which Consul notices that a connection was closed.
const closeGrace = 200 * time.Millisecond

// Pool bounds the requests in flight and spreads them over as few connections as they need.
type Pool struct {
	// slots has one unit for each request in flight and one for each reserved request.
	slots *semaphore.Weighted
	// newTransport returns the transport of one more Conn.
	newTransport func() http.RoundTripper
	// shared means HTTP/2: a connection carries many requests and survives a canceled one.
	shared bool
	// connections is the largest number of connections.
	connections int

	// mu guards the fields below. It is acquired before reloadingTransport.mu.
	mu sync.Mutex
	// perConn is the number of requests on one Conn.
	perConn int
	// size is the number of requests that may be in flight.
	size int
	// inFlight is the number of requests in flight.
	inFlight int
	conns    []*Conn
}

// Conn is one transport of a Pool and the number of its requests. For HTTP/2 it is one connection.
type Conn struct {
	transport http.RoundTripper
	// requests is guarded by Pool.mu.
	requests int
}

// NewPool returns a pool for HTTP/1.1, where each request in flight takes a connection.
func NewPool(requests int, newTransport func(connections int) http.RoundTripper) *Pool {
	return &Pool{
		slots: semaphore.NewWeighted(int64(requests)), newTransport: func() http.RoundTripper { return newTransport(requests) },
		connections: 1, perConn: requests, size: requests,
	}
}

// NewSharedPool returns a pool for HTTP/2, where a connection carries many requests. Each connection has a transport of its
// own, because a shared transport of Go opens needless connections when many requests arrive together.
func NewSharedPool(connections, perConn int, newTransport func(connections int) http.RoundTripper) *Pool {
	p := &Pool{
		slots:        semaphore.NewWeighted(int64(connections * max(perConn, MaxStreams))),
		newTransport: func() http.RoundTripper { return newTransport(1) },
		shared:       true, connections: connections, perConn: perConn, size: connections * perConn,
	}
	if reserved := connections * (max(perConn, MaxStreams) - perConn); reserved > 0 {
		p.slots.TryAcquire(int64(reserved)) // Resize releases them
	}
	return p
}

// Resize lets each connection of a shared pool carry more requests, up to MaxStreams.
func (p *Pool) Resize(perConn int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if more := (min(perConn, MaxStreams) - p.perConn) * p.connections; more > 0 {
		p.perConn = min(perConn, MaxStreams)
		p.size += more
		p.slots.Release(int64(more))
	}
}

// Shared reports whether connections carry many requests.
func (p *Pool) Shared() bool { return p.shared }

// Size returns how many requests may be in flight. The size of a nil pool is 0.
func (p *Pool) Size() int {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

// InFlight returns the number of requests in flight.
func (p *Pool) InFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inFlight
}

// Acquire waits until one more request may be in flight and returns its Conn. The caller releases it after it has read the
// response.
func (p *Pool) Acquire(ctx context.Context) (*Conn, error) {
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight++
	for _, c := range p.conns {
		if c.requests < p.perConn {
			c.requests++
			return c, nil
		}
	}
	c := &Conn{transport: p.newTransport(), requests: 1}
	p.conns = append(p.conns, c)
	return c, nil
}

// Release ends a request. A request over HTTP/1.1 that failed or was canceled closes its connection, and Consul counts
// that connection until it notices. Only then another connection may be made in its place.
func (p *Pool) Release(c *Conn, failed bool) {
	if failed && !p.shared {
		time.AfterFunc(closeGrace, func() { p.free(c) })
		return
	}
	p.free(c)
}

func (p *Pool) free(c *Conn) {
	p.mu.Lock()
	c.requests--
	p.inFlight--
	p.mu.Unlock()
	if t, ok := c.transport.(*reloadingTransport); ok {
		t.closeStale()
	}
	p.slots.Release(1)
}

// CloseIdle closes the connections without a request. The pool makes new ones when it needs them.
func (p *Pool) CloseIdle() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

// Bind returns a context whose request uses the Conn.
func (c *Conn) Bind(ctx context.Context) context.Context {
	return context.WithValue(ctx, transportKey{}, c.transport)
}
