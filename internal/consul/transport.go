package consul

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-cleanhttp"
)

// closeGrace is how long Consul may take to notice that a connection was closed.
const closeGrace = 200 * time.Millisecond

// clientParts are a client of Consul's API and what its connections are made of.
type clientParts struct {
	api       *api.Client
	router    *router
	creds     *credentials
	transport func(connections int) http.RoundTripper
}

// newClient returns a client that sends each request over the transport named by the request's context.
func newClient(config *api.Config) (*clientParts, error) {
	c := *config
	// A dead connection is found about as soon as HTTP/2's pings do.
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: silence, Interval: pingTimeout / 3, Count: 3,
	}}
	dial := dialer.DialContext
	// api's own way with a socket would neither keep nor bound connections.
	if path, ok := strings.CutPrefix(c.Address, "unix://"); ok {
		c.Address = path
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}
	}
	creds, err := newCredentials(config, dial)
	if err != nil {
		return nil, err
	}
	r := &router{creds: creds}
	// Consul's API doesn't redirect, and the token must not follow whoever does.
	c.HttpClient = &http.Client{
		Transport:     r,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.Transport = cleanhttp.DefaultPooledTransport() // stays unused, but must not be api's own
	c.TokenFile, c.Token = "", creds.token()         // the credentials have read it
	client, err := api.NewClient(&c)
	if err != nil {
		return nil, err
	}
	return &clientParts{
		api: client, router: r, creds: creds,
		transport: func(connections int) http.RoundTripper { return &renewable{creds: creds, connections: connections} },
	}, nil
}

// How long an HTTP/2 connection may be silent, and take to answer a ping then. Tests have less time.
var silence, pingTimeout = 30 * time.Second, 15 * time.Second

// bounded returns a transport of its own that never holds more connections than told. HTTP/2's pings find
// a dead connection long before a blocking query's deadline does. Its requests wait for a stream: Go else
// dials once more for those that come before it knows how many streams the server allows.
func bounded(base *http.Transport, connections int) *http.Transport {
	t := base.Clone()
	t.DisableKeepAlives = false
	t.MaxIdleConns = 0
	t.MaxConnsPerHost = connections
	t.MaxIdleConnsPerHost = connections
	t.HTTP2 = &http.HTTP2Config{
		SendPingTimeout: silence, PingTimeout: pingTimeout, StrictMaxConcurrentRequests: true,
	}
	return t
}

// router sends a request over the transport in its context and notes which HTTP was spoken.
type router struct {
	creds *credentials
	// most bounds each answer, in bytes.
	most  int64
	http2 atomic.Bool
	// last is where the last answer came from.
	last atomic.Pointer[url.URL]
}

type transportKey struct{}

// RoundTrip implements http.RoundTripper.
func (r *router) RoundTrip(req *http.Request) (*http.Response, error) {
	t, ok := req.Context().Value(transportKey{}).(http.RoundTripper)
	if !ok {
		return nil, errors.New("the request has no transport")
	}
	resp, err := t.RoundTrip(r.ours(req))
	if err == nil {
		r.http2.Store(resp.ProtoMajor >= 2)
		r.last.Store(req.URL)
		short(resp, r.most)
	}
	return resp, err
}

const tokenHeader = "X-Consul-Token"

// ours returns the request without a token where we have none: the API's client takes one from the environment then,
// which may be for another Consul.
func (r *router) ours(req *http.Request) *http.Request {
	if req.Header.Get(tokenHeader) == "" || r.creds.token() != "" {
		return req
	}
	req = req.Clone(req.Context())
	req.Header.Del(tokenHeader)
	return req
}

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
