package consul

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/consul/detect"

	"github.com/isthmus-mesh/isthmus/internal/catalog"

	"github.com/hashicorp/consul/api"
)

const unwatchedServices = 60

// TestUnwatchedServices makes a different change to each unwatched service and measures the delay until the change is seen.
func TestUnwatchedServices(t *testing.T) {
	for name, config := range map[string]string{"streaming": ``, "not streaming": notStreaming} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, config)
			s.fill(unwatchedServices)
			for _, connections := range []int{3, 8} {
				t.Run(fmt.Sprint(connections, " connections"), func(t *testing.T) { s.testUnwatched(t, connections) })
			}
		})
	}
}

func (s *server) testUnwatched(t *testing.T, connections int) {
	name := func(i int) (node, id, service string) {
		service = fmt.Sprintf("unwatched-%d-%02d", connections, i)
		return service + "-node", service + "-1", service
	}
	for i, change := range unwatchedChanges {
		node, id, service := name(i)
		s.register(node, id, service)
		if change.name == "passing node" {
			checked("critical", "")(s, node, id, service)
		}
	}
	relay := newRelay(t, s.Address)
	p := runReal(t, Options{Config: &api.Config{Address: relay.address()}, Connections: connections})
	eventually(t, "the first scan is over", func() bool { return p.settled(unwatchedServices) })
	p.source.detector.DemoteAll()
	for i, change := range unwatchedChanges {
		node, id, service := name(i)
		if p.isWatched(service) {
			t.Fatalf("%s is watched, expected unwatched", service)
		}
		late := time.Duration(metric(t, p.registry, stalenessGauge) * float64(time.Second))
		began := time.Now()
		change.make(s, node, id, service)
		eventually(t, change.name, func() bool { return change.seen(p.latest(service)) })
		if took := time.Since(began); took > late || late > 15*time.Second {
			t.Errorf("change %q was seen after %s, expected at most %s", change.name, took, late)
		}
	}
	if most, _ := relay.state(); most > connections {
		t.Errorf("got %d connections", most)
	}
	p.logged("level=WARN", 0)
}

// TestUnwatchedPassingCheck adds a passing check without any other change. Such a change wakes only the queries that watch the
// service. The source finds it once per wait.
func TestUnwatchedPassingCheck(t *testing.T) {
	s := startServer(t, "")
	s.fill(unwatchedServices)
	s.register("n1", "unwatched-1", "unwatched")
	const wait = 2 * time.Second
	p := runReal(t, Options{Config: &api.Config{Address: s.Address}, Connections: 8, Wait: wait, verifyAfter: time.Hour})
	eventually(t, "the first scan is over", func() bool { return p.settled(unwatchedServices) })
	p.source.detector.DemoteAll()
	checked("passing", "x")(s, "n1", "unwatched-1", "unwatched")
	began := time.Now()
	eventually(t, "the check", func() bool {
		return slices.Equal(p.latest("unwatched").Instances[0].Checks, []catalog.Check{{Type: "http"}})
	})
	if took := time.Since(began); took > 2*wait {
		t.Errorf("the check was seen after %s", took)
	}
}

// settled reports whether all services were read and scanned.
func (p *harness) settled(services int) bool {
	s := p.status()
	return !s.ScanEndedAt.IsZero() && !s.ScanDemanded && len(p.sink.all()) > services
}

// status returns the state of the detector. It is zero until the source has a detector.
func (p *harness) status() detect.Status {
	select {
	case <-p.source.opened:
		return p.source.detector.Status()
	default:
		return detect.Status{}
	}
}

func (p *harness) isWatched(name string) bool {
	p.source.mu.Lock()
	defer p.source.mu.Unlock()
	return p.source.services[name].detected.Watched()
}

// TestWatchedServiceCostsOneRead verifies that a change of a service with a poll costs one response and no index query.
func TestWatchedServiceCostsOneRead(t *testing.T) {
	s := startServer(t, "")
	s.awaitOwnNode()
	s.fill(unwatchedServices)
	s.register("n1", "watched-1", "watched")
	p := runReal(t, Options{Config: &api.Config{Address: s.Address}, Connections: 8, verifyAfter: time.Hour})
	eventually(t, "the first scan is over", func() bool { return p.settled(unwatchedServices) })
	p.source.detector.DemoteAll()
	s.register("n1", "watched-1", "watched", func(r *api.CatalogRegistration) { r.Service.Port = 1 })
	eventually(t, "the service is watched", func() bool {
		return p.latest("watched").Instances[0].Port == 1 && p.isWatched("watched") && p.scanned()
	})
	const requests = "isthmus_consul_requests_total"
	read := func() float64 { return metric(t, p.registry, requests, "endpoint=service", "result=ok") }
	for port := 2; port <= 5; port++ {
		p.awaitIdle(t)
		lists := metric(t, p.registry, requests, "endpoint=services", "result=ok")
		reads, indexQueries := read(), metric(t, p.registry, requests, "endpoint=index")
		s.register("n1", "watched-1", "watched", func(r *api.CatalogRegistration) { r.Service.Port = port })
		eventually(t, "the change", func() bool { return p.latest("watched").Instances[0].Port == port })
		eventually(t, "the list has answered", func() bool {
			return metric(t, p.registry, requests, "endpoint=services", "result=ok") > lists && p.listRests()
		})
		if r, q := read()-reads, metric(t, p.registry, requests, "endpoint=index")-indexQueries; r != 1 || q != 0 {
			t.Errorf("the change cost %v reads and %v index queries, expected one read and no index query", r, q)
		}
	}
}

// scanned reports whether the scan after the last change of the list is complete.
func (p *harness) scanned() bool {
	s := p.status()
	return !s.ScanDemanded && s.ScanEndedAt.After(s.ListChangedAt)
}

// listRests reports whether the list has been unchanged for longer than the time in which a change is attributed.
func (p *harness) listRests() bool {
	s := p.status()
	return s.PendingIndexes == 0 && time.Since(s.ListChangedAt) > 2*detect.MaxAttributionTimeout
}
