package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/connlimit/connlimittest"
)

// TestFlood verifies that a kubelet is served within a second while another client holds all connections it can: idle ones,
// half-sent requests, and pipelined requests of which it does not read the responses.
func TestFlood(t *testing.T) {
	registry := prometheus.NewRegistry()
	vector := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "isthmus_test", Help: strings.Repeat("x", 100)}, []string{"n"})
	registry.MustRegister(vector)
	for n := range 1000 { // responses larger than the buffers of a connection that is not read
		vector.WithLabelValues(strings.Repeat("x", 1000) + fmt.Sprint(n)).Set(1)
	}
	for name, abuse := range map[string]func(context.Context, net.Conn){
		"idle":      connlimittest.Hold,
		"half sent": func(ctx context.Context, c net.Conn) { sendAndHold(ctx, c, "GET /metrics HTTP/1.1\r\nHost:") },
		"not read": func(ctx context.Context, c net.Conn) {
			sendWithoutReading(ctx, c, strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 50))
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, Options{Metrics: prometheus.NewRegistry(), Ready: func() error { return nil }})
			if name == "not read" {
				url = serve(t, Options{Metrics: registry, Ready: func() error { return nil }})
			}
			connlimittest.Flood(t, "127.0.0.1", strings.TrimPrefix(url, "http://"), connlimittest.Connections(), abuse)
			connlimittest.Served(t, func() error { return getFrom("127.0.0.2", url+"/healthz") })
		})
	}
}

// TestIdleConnectionsOfTheSameClient verifies that a client that holds all its connections idle is still served.
func TestIdleConnectionsOfTheSameClient(t *testing.T) {
	url := serve(t, Options{Metrics: prometheus.NewRegistry(), Ready: func() error { return nil }})
	for range 2 * limits.PerClient {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil { // a connection above the limit may fail
			defer c.Close()
		}
	}
	time.Sleep(time.Second) // connections of the same client are replaced once they are older than a second
	connlimittest.Served(t, func() error { return getFrom("127.0.0.1", url+"/healthz") })
}

// getFrom requests a URL over a new connection from a local address.
func getFrom(local, url string) error {
	client := http.Client{Transport: &http.Transport{DialContext: connlimittest.Dialer(local).DialContext, DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

func sendAndHold(ctx context.Context, c net.Conn, request string) {
	if _, err := io.WriteString(c, request); err == nil {
		connlimittest.Hold(ctx, c)
	}
}

// sendWithoutReading sends requests and waits until the server closes the connection. Only a failing write shows that.
func sendWithoutReading(ctx context.Context, c net.Conn, requests string) {
	for ctx.Err() == nil {
		if _, err := io.WriteString(c, requests); err != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// TestReadTimeout verifies that a connection is closed if a request is not complete in time.
func TestReadTimeout(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"header": "GET /healthz HTTP/1.1\r\nHost: x\r\nX-",
		"body":   "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, Options{Metrics: prometheus.NewRegistry(), Ready: func() error { return nil }})
			c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(c); err != nil || time.Since(start) < readTimeout-time.Second {
				t.Errorf("the connection ended after %s with %v, want the end after %s", time.Since(start), err, readTimeout)
			}
		})
	}
}

// TestLongProfile verifies that a profile may take longer than the time-outs of other requests.
func TestLongProfile(t *testing.T) {
	t.Parallel()
	url := serve(t, Options{Metrics: prometheus.NewRegistry(), Ready: func() error { return nil }, Profiles: true})
	start := time.Now()
	if status, _ := get(t, url+"/debug/pprof/profile?seconds=11"); status != 200 || time.Since(start) < 11*time.Second {
		t.Errorf("status %d after %s, want 200 after 11s", status, time.Since(start))
	}
}

// TestMaxAge verifies that a connection is closed after the request during which it reaches its maximum age.
func TestMaxAge(t *testing.T) {
	handler := limit(time.Minute, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for age, want := range map[time.Duration]string{0: "", time.Minute: "close"} {
		recorder := httptest.NewRecorder()
		ctx := context.WithValue(t.Context(), startKey{}, time.Now().Add(-age))
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		handler.ServeHTTP(recorder, request)
		if got := recorder.Header().Get("Connection"); got != want {
			t.Errorf("after %s: Connection is %q, want %q", age, got, want)
		}
	}
}
