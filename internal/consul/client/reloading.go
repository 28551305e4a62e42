package client

import (
	"net/http"
	"sync"
	"time"
)

// maxRequestAge is how long requests may use connections with previous credentials: as long as Consul holds a query.
const maxRequestAge = MaxWait*6/5*17/16 + slack

// reloadingTransport is a transport that makes new connections after the credentials changed.
type reloadingTransport struct {
	creds                  *Credentials
	connections            int
	pingAfter, pingTimeout time.Duration

	// mu guards the fields below. It is acquired after Pool.mu and before Credentials.mu.
	mu sync.Mutex
	// base is the transport of the credentials that current was made from.
	base *http.Transport
	// current has the connections of new requests.
	current *http.Transport
	// previous has the connections of requests that started before the last change; nil once they have ended.
	previous *http.Transport
	// replacedAt is when previous was replaced.
	replacedAt time.Time
	// closing means that the idle connections of previous are about to be closed.
	closing bool
}

// RoundTrip implements http.RoundTripper.
func (r *reloadingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return r.Transport().RoundTrip(req)
}

// Transport returns the transport for new requests.
func (r *reloadingTransport) Transport() *http.Transport {
	_, base := r.creds.current()
	r.mu.Lock()
	defer r.mu.Unlock()
	if base == r.base {
		return r.current
	}
	if r.current != nil {
		r.current.CloseIdleConnections()
	}
	r.base, r.current, r.previous, r.replacedAt = base, r.bounded(base), r.current, time.Now()
	return r.current
}

// bounded returns a copy of a transport that bounds its connections. The pings of HTTP/2 detect a dead connection long
// before the deadline of a blocking query. Requests wait for a free stream; otherwise Go dials again for requests that
// arrive before it knows how many streams the server allows.
func (r *reloadingTransport) bounded(base *http.Transport) *http.Transport {
	t := base.Clone()
	t.DisableKeepAlives = false
	t.MaxIdleConns = 0
	t.MaxConnsPerHost = r.connections
	t.MaxIdleConnsPerHost = r.connections
	t.HTTP2 = &http.HTTP2Config{
		SendPingTimeout: r.pingAfter, PingTimeout: r.pingTimeout, StrictMaxConcurrentRequests: true,
	}
	return t
}

// closeStale closes the connections with previous credentials that have become idle. Otherwise there could be twice as many
// connections as allowed for long. It waits for closeGrace because a stream ends later than its request.
func (r *reloadingTransport) closeStale() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.replacedAt) > maxRequestAge {
		r.previous = nil
	}
	if r.previous == nil || r.closing {
		return
	}
	r.closing = true
	time.AfterFunc(closeGrace, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.closing = false
		if r.previous != nil {
			r.previous.CloseIdleConnections()
		}
	})
}

// CloseIdleConnections closes the connections without a request.
func (r *reloadingTransport) CloseIdleConnections() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range []*http.Transport{r.current, r.previous} {
		if t != nil {
			t.CloseIdleConnections()
		}
	}
}
