package consul

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// streams is how many requests share one HTTP/2 connection. Consul allows 250, a proxy in front of it
	// often no more than the 100 that RFC 9113 asks for; what is above its limit would wait unnoticed.
	streams = 100
	// maxStreams is how many share one where the server is asked, because 100 are not enough.
	maxStreams = 200
	// streamsTimeout bounds the question.
	streamsTimeout = 10 * time.Second
)

// widen has more requests share a connection, as far as the server allows it, where there are else too few for all
// services. The server is asked once.
func (s *Source) widen(ctx context.Context, services int) {
	if !s.polls.shared || s.widened || services <= s.polls.size() {
		return
	}
	s.widened = true
	allowed, err := s.askStreams(ctx, s.router.last.Load())
	if err != nil {
		s.log.Debug("the server's limit of requests on a connection is not known", "said", s.troubles.clean(err))
	}
	// Some room is left for the requests that we ended and the server did not notice yet.
	s.polls.widen(min(max(streams, allowed*4/5), maxStreams))
}

// askStreams returns how many requests the server allows at once on a connection of its own.
func (s *Source) askStreams(ctx context.Context, server *url.URL) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, streamsTimeout)
	defer cancel()
	var t *http.Transport
	switch own := s.transport(1).(type) {
	case *renewable:
		t = own.transport()
	case *http.Transport:
		t = own
	}
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
	resp, err := conn.RoundTrip(req) // after any answer the server's settings are known
	if err != nil {
		return 0, err
	}
	return conn.Available() + 1, resp.Body.Close()
}
