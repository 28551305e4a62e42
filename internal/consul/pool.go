package consul

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// closeGrace is how long Consul may take to notice that a connection was closed.
const closeGrace = 200 * time.Millisecond

// A pool bounds the requests in flight and spreads them over as few transports as they need.
type pool struct {
	slots chan struct{}
	grow  func() http.RoundTripper
	// shared says that a connection carries many requests, and survives the end of one.
	shared bool

	mu sync.Mutex
	// each is how many requests a transport carries; reserved are the slots that nobody gets as long as that is less than
	// it may become.
	each, reserved int
	lanes          []*lane
}

// A lane is one transport and the number of requests on it.
type lane struct {
	transport http.RoundTripper
	held      int
}

// newPool returns a pool for a connection to each request: HTTP/1.1, where a blocking query takes a whole
// connection.
func newPool(requests int, transport func(connections int) http.RoundTripper) *pool {
	return &pool{
		slots: make(chan struct{}, requests),
		each:  requests,
		grow:  func() http.RoundTripper { return transport(requests) },
	}
}

// newSharedPool returns a pool of connections that carry many requests each: HTTP/2. Every connection has
// a transport of its own, because Go's transport opens needlessly many when requests come at once.
func newSharedPool(connections, each int, transport func(connections int) http.RoundTripper) *pool {
	p := &pool{
		slots: make(chan struct{}, connections*max(each, maxStreams)),
		each:  each,
		grow:  func() http.RoundTripper { return transport(1) },

		shared: true,
	}
	for p.reserved = cap(p.slots) - connections*each; len(p.slots) < p.reserved; {
		p.slots <- struct{}{}
	}
	return p
}

// widen has each connection of a shared pool carry more requests.
func (p *pool) widen(each int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	connections := (cap(p.slots) - p.reserved) / p.each
	for ; p.each < each; p.each++ {
		for range connections {
			<-p.slots
		}
		p.reserved -= connections
	}
}

// size returns how many requests may be in flight; a pool that isn't there has no bound yet.
func (p *pool) size() int {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return cap(p.slots) - p.reserved
}

// acquire waits for a slot and returns the lane to use with ctx; release it after the answer was read.
func (p *pool) acquire(ctx context.Context) (*lane, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lanes {
		if l.held < p.each {
			l.held++
			return l, nil
		}
	}
	l := &lane{transport: p.grow(), held: 1}
	p.lanes = append(p.lanes, l)
	return l, nil
}

// release gives the slot back. A request over HTTP/1.1 that failed or was ended closes its connection, and Consul
// counts it until it notices; only then another one may be made in its place.
func (p *pool) release(l *lane, failed bool) {
	if failed && !p.shared {
		time.AfterFunc(closeGrace, func() { p.free(l) })
		return
	}
	p.free(l)
}

func (p *pool) free(l *lane) {
	p.mu.Lock()
	l.held--
	p.mu.Unlock()
	if t, ok := l.transport.(*renewable); ok {
		t.tidy()
	}
	<-p.slots
}

// close gives back the connections that nobody uses; the pool goes on with others.
func (p *pool) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lanes {
		if c, ok := l.transport.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}

// bind returns a context whose request goes over the lane.
func (l *lane) bind(ctx context.Context) context.Context {
	return context.WithValue(ctx, transportKey{}, l.transport)
}
