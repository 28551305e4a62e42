package consul

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-cleanhttp"
)

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
