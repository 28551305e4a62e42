package client

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// DefaultStreams is the number of requests that share an HTTP/2 connection. Consul allows 250. A proxy in front of Consul
	// often allows only the 100 that RFC 9113 recommends; requests above its limit would wait unnoticed.
	DefaultStreams = 100
	// MaxStreams is the largest number of requests that share a connection after the limit of the server was read.
	MaxStreams = 200
	// streamsTimeout bounds the request that reads the limit.
	streamsTimeout = 10 * time.Second
)

// Streams returns how many requests should share an HTTP/2 connection: as many as the server allows, less a fifth for
// requests that were canceled while the server has not noticed yet.
func (c *Client) Streams(ctx context.Context) (int, error) {
	allowed, err := c.allowedStreams(ctx, c.router.lastURL.Load())
	return min(max(DefaultStreams, allowed*4/5), MaxStreams), err
}

// allowedStreams opens a connection and returns how many concurrent requests the server allows on it.
func (c *Client) allowedStreams(ctx context.Context, server *url.URL) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, streamsTimeout)
	defer cancel()
	t := baseTransport(c.NewTransport(1))
	if server == nil || t == nil {
		return 0, nil
	}
	conn, err := t.NewClientConn(ctx, server.Scheme, net.JoinHostPort(server.Hostname(), cmp.Or(server.Port(), server.Scheme)))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	leader := url.URL{Scheme: server.Scheme, Host: server.Host, Path: "/v1/status/leader"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, leader.String(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := conn.RoundTrip(req) // the settings of the server are known after any response
	if err != nil {
		return 0, err
	}
	return conn.Available() + 1, resp.Body.Close()
}

func baseTransport(t http.RoundTripper) *http.Transport {
	switch t := t.(type) {
	case interface{ Transport() *http.Transport }:
		return t.Transport()
	case *http.Transport:
		return t
	}
	return nil
}
