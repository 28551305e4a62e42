// Package client sends requests to Consul: it has the HTTP transport, the credentials and their rotation, and the pools
// that bound the connections.
//
// Locks: Pool.mu is acquired before reloadingTransport.mu, and that before Credentials.mu. Credentials.readMu is acquired
// before Credentials.mu.
package client

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

const (
	// MaxWait is the longest wait of a blocking query. Consul accepts 10 minutes; the jitter adds up to a fifth.
	MaxWait = 8 * time.Minute
	// slack is the time that a blocking query may take beyond its wait.
	slack = 15 * time.Second
	// DefaultMaxBytes bounds one response, in bytes after decompression. A service of 10,000 instances has about 10 MB, and
	// one registration can have 10 MB. Registrations must not decide how much memory isthmus takes.
	DefaultMaxBytes = 64 << 20
	// DefaultPingAfter is the time after which a silent connection is checked.
	DefaultPingAfter = 30 * time.Second
	// DefaultPingTimeout is the time that the check of a connection may take.
	DefaultPingTimeout = 15 * time.Second
)

// Deadline returns how long a query may take that Consul holds for wait. Consul adds up to a sixteenth to the wait.
func Deadline(wait time.Duration) time.Duration { return wait*17/16 + slack }

// Options configures a Client.
type Options struct {
	// Config has the address, the credentials and the TLS settings. Its HttpClient and Transport are not used.
	Config *api.Config
	// MaxBytes bounds each response; a larger one fails with *http.MaxBytesError.
	MaxBytes int64
	// PingAfter and PingTimeout detect a dead connection.
	PingAfter, PingTimeout time.Duration
}

// Client is a client of Consul's API with bounded connections. A request needs a Conn in its context.
type Client struct {
	// API is Consul's own client.
	API *api.Client
	// Credentials has the token and the TLS settings in use.
	Credentials *Credentials
	// NewTransport returns a transport with at most so many connections. Tests replace it.
	NewTransport func(connections int) http.RoundTripper

	router *routingTransport
}

// New returns a client. It fails if the credentials cannot be read or the address is invalid.
func New(opts Options) (*Client, error) {
	config := *opts.Config
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: opts.PingAfter, Interval: opts.PingTimeout / 3, Count: 3, // as fast as the pings of HTTP/2
	}}
	dial := dialer.DialContext
	// The API client's own support for sockets neither keeps nor bounds connections.
	if path, ok := strings.CutPrefix(config.Address, "unix://"); ok {
		config.Address = path
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}
	}
	creds, err := newCredentials(opts.Config, dial)
	if err != nil {
		return nil, err
	}
	router := &routingTransport{creds: creds, maxBytes: opts.MaxBytes}
	config.HttpClient = &http.Client{
		Transport: router,
		// Consul's API does not redirect, and the target of a redirection must not receive the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	config.Transport = cleanhttp.DefaultPooledTransport() // unused, but without it the API client changes its shared default
	config.TokenFile, config.Token = "", creds.Token()    // the credentials have read the file
	client, err := api.NewClient(&config)
	if err != nil {
		return nil, err
	}
	return &Client{
		API: client, Credentials: creds, router: router,
		NewTransport: func(connections int) http.RoundTripper {
			return &reloadingTransport{
				creds: creds, connections: connections, pingAfter: opts.PingAfter, pingTimeout: opts.PingTimeout,
			}
		},
	}, nil
}

// HTTP2 reports whether the last response came over HTTP/2.
func (c *Client) HTTP2() bool { return c.router.http2.Load() }

// routingTransport sends a request over the transport in its context.
type routingTransport struct {
	creds *Credentials
	// maxBytes bounds each response.
	maxBytes int64
	// http2 is the protocol of the last response.
	http2 atomic.Bool
	// lastURL is the URL of the last response.
	lastURL atomic.Pointer[url.URL]
}

type transportKey struct{}

// RoundTrip implements http.RoundTripper.
func (r *routingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	t, ok := req.Context().Value(transportKey{}).(http.RoundTripper)
	if !ok {
		return nil, errors.New("the context of the request has no connection")
	}
	resp, err := t.RoundTrip(stripTenancy(r.stripToken(req)))
	if err != nil {
		return nil, err
	}
	r.http2.Store(resp.ProtoMajor >= 2)
	r.lastURL.Store(req.URL)
	if err := r.limitBody(req, resp); err != nil {
		return nil, err
	}
	return resp, nil
}

const tokenHeader = "X-Consul-Token"

// stripToken removes the token if none is configured: the API client then takes a token from the environment, which may
// be for another Consul.
func (r *routingTransport) stripToken(req *http.Request) *http.Request {
	if req.Header.Get(tokenHeader) == "" || r.creds.Token() != "" {
		return req
	}
	req = req.Clone(req.Context())
	req.Header.Del(tokenHeader)
	return req
}

// stripTenancy removes the namespace and the partition, which the API client takes from the environment. An open-source
// Consul refuses both parameters, also with the value default.
func stripTenancy(req *http.Request) *http.Request {
	query := req.URL.Query()
	if !query.Has("ns") && !query.Has("partition") {
		return req
	}
	query.Del("ns")
	query.Del("partition")
	req = req.Clone(req.Context())
	req.URL.RawQuery = query.Encode()
	return req
}
