package consul

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/consul/blocking"
)

// hotConsul is a Consul in which some services change with each response: a poll of them is answered at once, under a
// higher index. A poll of another service is held until the service is changed.
type hotConsul struct {
	hot, instances int

	mu       sync.Mutex
	index    int
	requests map[string]int
	bodies   map[string]string
	// port is the port of the service "calm". changed is closed when it changes.
	port    int
	changed chan struct{}
}

func newHotConsul(hot, instances int) *hotConsul {
	return &hotConsul{hot: hot, instances: instances, index: 10, port: 80, requests: map[string]int{}, bodies: map[string]string{}, changed: make(chan struct{})}
}

// RoundTrip implements http.RoundTripper.
func (c *hotConsul) RoundTrip(req *http.Request) (*http.Response, error) {
	path, poll := req.URL.Path, req.URL.Query().Get("index") != ""
	c.mu.Lock()
	changed := c.changed
	c.mu.Unlock()
	if poll && !strings.Contains(path, "hot") {
		select {
		case <-changed:
		case <-req.Context().Done():
			return nil, context.Cause(req.Context())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests[path]++
	c.index++
	header := http.Header{"X-Consul-Index": {fmt.Sprint(c.index)}, "X-Consul-Lastcontact": {"0"}, "X-Consul-Query-Backend": {"blocking-query"}}
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 2, Header: header, Request: req, Body: io.NopCloser(strings.NewReader(c.body(path))),
	}, nil
}

func (c *hotConsul) body(path string) string {
	name := strings.TrimPrefix(path, servicePath(""))
	switch {
	case path == servicesPath:
		all := []string{"calm"}
		for i := range c.hot {
			all = append(all, fmt.Sprint("hot", i))
		}
		return names(all...)
	case name == "calm":
		return mustJSON([]*api.ServiceEntry{{Node: &api.Node{Node: "n"}, Service: &api.AgentService{ID: "calm", Service: "calm", Port: c.port}}})
	case strings.HasPrefix(name, "hot"):
		if c.bodies[name] == "" {
			ids := make([]string, c.instances)
			for i := range ids {
				ids[i] = fmt.Sprintf("n/%d", i)
			}
			c.bodies[name] = instances(name, ids...)
		}
		return c.bodies[name]
	}
	return "[]"
}

// change gives the calm service another port.
func (c *hotConsul) change(port int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.port = port
	close(c.changed)
	c.changed = make(chan struct{})
}

// TestServicesThatChangeAllTheTime verifies that services whose polls are answered at once cost a bounded number of
// requests, that the log and a metric tell it, and that a change of another service is not delayed.
func TestServicesThatChangeAllTheTime(t *testing.T) {
	const duration, changes = 100, 50
	for name, test := range map[string]struct{ hot, instances, atMost int }{
		"one service":                  {1, 1, blocking.PaceBurst + blocking.PaceRate*duration},
		"one of 3,000 instances":       {1, 3000, blocking.PaceBurst/4 + blocking.PaceRate*duration/4},
		"each of 300 services at once": {300, 1, 300*(blocking.PaceBurst+2) + 100*(duration+1)},
	} {
		t.Run(name, func(t *testing.T) {
			var consul *hotConsul
			p := newHarness(t)
			synctest.Test(t, func(t *testing.T) {
				consul = newHotConsul(test.hot, test.instances) // its channel belongs to the bubble
				p.open(Options{Config: &api.Config{Token: "token"}})
				p.source.client.NewTransport = func(int) http.RoundTripper { return consul }
				ctx, cancel := context.WithCancel(t.Context())
				var run sync.WaitGroup
				run.Go(func() { _ = p.source.Run(ctx, p.sink) })
				for i := range changes {
					time.Sleep(duration * time.Second / changes)
					consul.change(1000 + i)
					synctest.Wait() // without any time: the change waits for nothing
					if got := p.latest("calm").Instances; len(got) != 1 || got[0].Port != 1000+i {
						t.Fatalf("change %d of another service is delayed: %v", i, got)
					}
				}
				cancel()
				run.Wait()
			})
			requests := 0
			for path, n := range consul.requests {
				if strings.Contains(path, "hot") {
					requests += n
				}
			}
			if requests > test.atMost+test.hot || requests < test.atMost/2 {
				t.Errorf("%d requests in %d s, expected at most %d and at least half of it", requests, duration, test.atMost)
			}
			p.logged(blocking.MessagePaced, 2) // once a minute
			if delayed := metric(t, p.registry, "isthmus_consul_delayed_requests_total"); delayed < float64(test.atMost/4) {
				t.Errorf("only %v delayed requests are counted", delayed)
			}
		})
	}
}

// TestRollingUpdateIsNotPaced verifies that a service that changes a few times a second for a minute is never delayed.
func TestRollingUpdateIsNotPaced(t *testing.T) {
	p := newHarness(t)
	synctest.Test(t, func(t *testing.T) {
		consul := newHotConsul(0, 0)
		p.open(Options{Config: &api.Config{Token: "token"}})
		p.source.client.NewTransport = func(int) http.RoundTripper { return consul }
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = p.source.Run(ctx, p.sink) })
		for i := range 240 {
			time.Sleep(250 * time.Millisecond)
			consul.change(1000 + i)
			synctest.Wait()
			if got := p.latest("calm").Instances; len(got) != 1 || got[0].Port != 1000+i {
				t.Fatalf("change %d is delayed: %v", i, got)
			}
		}
		cancel()
		run.Wait()
	})
	p.metric("isthmus_consul_delayed_requests_total", 0)
	p.logged(blocking.MessagePaced, 0)
}
