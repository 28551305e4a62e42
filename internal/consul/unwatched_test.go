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

const coldServices = 60

// TestColdServices makes a different change to each cold service and measures the delay until the change is seen.
func TestColdServices(t *testing.T) {
	for name, config := range map[string]string{"streaming": ``, "not streaming": `use_streaming_backend = false`} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, config)
			s.fill(coldServices)
			for _, connections := range []int{3, 8} {
				t.Run(fmt.Sprint(connections, " connections"), func(t *testing.T) { s.testCold(t, connections) })
			}
		})
	}
}

func (s *server) testCold(t *testing.T, connections int) {
	name := func(i int) (node, id, service string) {
		service = fmt.Sprintf("cold-%d-%02d", connections, i)
		return service + "-node", service + "-1", service
	}
	for i, change := range coldChanges {
		node, id, service := name(i)
		s.register(node, id, service)
		if change.name == "passing node" {
			checked("critical", "")(s, node, id, service)
		}
	}
	relay := newRelay(t, s.Address)
	p := runReal(t, Options{Config: &api.Config{Address: relay.address()}, Connections: connections})
	eventually(t, "the first scan is over", func() bool { return p.settled(coldServices) })
	p.source.detector.DemoteAll()
	for i, change := range coldChanges {
		node, id, service := name(i)
		if p.isWatched(service) {
			t.Fatalf("%s is hot, expected cold", service)
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

// TestColdPassingCheck adds a passing check without any other change. Such a change wakes only the queries that watch the
// service. The source finds it once per wait.
func TestColdPassingCheck(t *testing.T) {
	s := startServer(t, "")
	s.fill(coldServices)
	s.register("n1", "cold-1", "cold")
	const wait = 2 * time.Second
	p := runReal(t, Options{Config: &api.Config{Address: s.Address}, Connections: 8, Wait: wait, verifyAfter: time.Hour})
	eventually(t, "the first scan is over", func() bool { return p.settled(coldServices) })
	p.source.detector.DemoteAll()
	checked("passing", "x")(s, "n1", "cold-1", "cold")
	began := time.Now()
	eventually(t, "the check", func() bool {
		return slices.Equal(p.latest("cold").Instances[0].Checks, []catalog.Check{{Type: "http"}})
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

// TestHotServiceCostsOneRead verifies that a change of a service with a poll costs one response and no probe.
func TestHotServiceCostsOneRead(t *testing.T) {
	s := startServer(t, "")
	s.fill(coldServices)
	s.register("n1", "hot-1", "hot")
	p := runReal(t, Options{Config: &api.Config{Address: s.Address}, Connections: 8, verifyAfter: time.Hour})
	eventually(t, "the first scan is over", func() bool { return p.settled(coldServices) })
	p.source.detector.DemoteAll()
	s.register("n1", "hot-1", "hot", func(r *api.CatalogRegistration) { r.Service.Port = 1 })
	eventually(t, "the service is hot", func() bool {
		return p.latest("hot").Instances[0].Port == 1 && p.isWatched("hot") && p.scanned()
	})
	const requests = "isthmus_consul_requests_total"
	read := func() float64 { return metric(t, p.registry, requests, "endpoint=service", "result=ok") }
	for port := 2; port <= 5; port++ {
		eventually(t, "all queries are idle", p.rests)
		lists := metric(t, p.registry, requests, "endpoint=services", "result=ok")
		reads, probes := read(), metric(t, p.registry, requests, "endpoint=probe")
		s.register("n1", "hot-1", "hot", func(r *api.CatalogRegistration) { r.Service.Port = port })
		eventually(t, "the change", func() bool { return p.latest("hot").Instances[0].Port == port })
		eventually(t, "the list has answered", func() bool {
			return metric(t, p.registry, requests, "endpoint=services", "result=ok") > lists && p.listRests()
		})
		if r, q := read()-reads, metric(t, p.registry, requests, "endpoint=probe")-probes; r != 1 || q != 0 {
			t.Errorf("the change cost %v reads and %v probes, expected one read and no probe", r, q)
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
