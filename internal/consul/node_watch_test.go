package consul

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestFewNodesCostOneRead changes unwatched services in a catalog with few nodes. It verifies that each change costs one answer
// about its node, one answer about each affected service, and no index query.
func TestFewNodesCostOneRead(t *testing.T) {
	s := startServer(t, "")
	s.awaitOwnNode()
	s.fill(unwatchedServices)
	p := runReal(t, Options{Config: &api.Config{Address: s.Address}, Connections: 24, verifyAfter: time.Hour})
	eventually(t, "the nodes are watched", func() bool { return p.nodeWatches() == 8 && p.settled(unwatchedServices) && p.listRests() })
	const requests = "isthmus_consul_requests_total"
	port := func(now catalog.Service) bool { return len(now.Instances) > 0 && now.Instances[0].Port == 99 }
	for _, change := range []struct {
		name, service string
		make          func()
		seen          func(now catalog.Service) bool
	}{
		{"port", "fill-010", func() {
			s.register("fill-3", "fill-010-1", "fill-010", func(r *api.CatalogRegistration) { r.Service.Port = 99 })
		}, port},
		{
			"second instance", "fill-011", func() { s.register("fill-0", "fill-011-2", "fill-011") },
			func(now catalog.Service) bool { return len(now.Instances) == 2 },
		},
		{
			"instance gone", "fill-011", func() { s.deregister("fill-0", "fill-011-2") },
			func(now catalog.Service) bool { return len(now.Instances) == 1 },
		},
	} {
		p.source.detector.DemoteAll()
		p.awaitIdle(t)
		reads, indexQueries := metric(t, p.registry, requests, "endpoint=service"), metric(t, p.registry, requests, "endpoint=index")
		nodes := metric(t, p.registry, requests, "endpoint=node")
		change.make()
		eventually(t, change.name, func() bool { return change.seen(p.latest(change.service)) })
		p.awaitIdle(t)
		if got := metric(t, p.registry, requests, "endpoint=service") - reads; got != 1 {
			t.Errorf("%s: got %v reads", change.name, got)
		}
		if got := metric(t, p.registry, requests, "endpoint=node") - nodes; got != 1 {
			t.Errorf("%s: got %v answers about nodes", change.name, got)
		}
		if got := metric(t, p.registry, requests, "endpoint=index") - indexQueries; got != 0 {
			t.Errorf("%s: got %v index queries", change.name, got)
		}
	}
	s.register("another", "fill-013-2", "fill-013")
	eventually(t, "an instance on a new node", func() bool { return len(p.latest("fill-013").Instances) == 2 && p.nodeWatches() == 9 })
	s.deregister("another", "")
	eventually(t, "the removal of a node", func() bool { return len(p.latest("fill-013").Instances) == 1 && p.nodeWatches() == 8 })
	for _, node := range []string{"more-1", "more-2", "more-3"} {
		s.register(node, "fill-014-"+node, "fill-014")
	}
	eventually(t, "the end of node watches with too many nodes", func() bool { return len(p.latest("fill-014").Instances) == 4 && p.nodeWatches() == 0 })
	s.register("more-1", "fill-015-2", "fill-015")
	eventually(t, "a scan finds the change", func() bool { return len(p.latest("fill-015").Instances) == 2 })
	p.logged("level=WARN", 0)
}

// TestRefusedNodesAreNoLoss verifies that scans find the changes if the queries of nodes are refused.
func TestRefusedNodesAreNoLoss(t *testing.T) {
	s := startServer(t, "")
	s.fill(unwatchedServices)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.Address})
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/catalog/node-services/") {
			http.Error(w, "not for you", http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p := runReal(t, Options{Config: &api.Config{Address: server.URL}, Connections: 24, verifyAfter: time.Hour})
	eventually(t, "each node is refused", func() bool {
		return metric(t, p.registry, failingGauge, "reason=denied") == 8 && p.settled(unwatchedServices) && p.listRests()
	})
	p.source.detector.DemoteAll()
	s.register("fill-3", "fill-010-1", "fill-010", func(r *api.CatalogRegistration) { r.Service.Port = 99 })
	eventually(t, "the change", func() bool { return p.latest("fill-010").Instances[0].Port == 99 })
	p.logged("level=WARN", 1)
}

func (p *harness) nodeWatches() int { return p.status().NodeWatches }

// awaitIdle waits until no response has come for half a second and no change of the list waits for its attribution.
func (p *harness) awaitIdle(t *testing.T) {
	t.Helper()
	const requests = "isthmus_consul_requests_total"
	last, since := metric(t, p.registry, requests), time.Now()
	eventually(t, "all queries are idle", func() bool {
		if now := metric(t, p.registry, requests); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 500*time.Millisecond && p.listRests()
	})
}
