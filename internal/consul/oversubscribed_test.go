package consul

import (
	"fmt"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/consul/detect"
)

const stalenessGauge = "isthmus_consul_max_staleness_seconds"

// TestMoreServicesThanConnections has fourteen slots for polls. First, eight services have one slot each. Then twelve more
// services and three watch queries need slots too.
func TestMoreServicesThanConnections(t *testing.T) {
	s := newFakeConsul(t)
	var all []string
	for i := range 20 {
		name := fmt.Sprintf("s%02d", i)
		all = append(all, name)
		// The first eight services stay watched, and so do three of the later services.
		s.service(name, sent(0).later(time.Duration(i)*time.Millisecond).says(11, instances(name, "n1/"+name)))
	}
	s.service("s19", sent(0).says(12, instances("s19", "n1/s19", "n2/s19")))
	s.moved[servicePath("s19")] = "12"
	for _, path := range []string{"/v1/health/state/critical", "/v1/health/state/warning", "/v1/catalog/nodes"} {
		s.steps[path] = []step{sent(0).says(11, "[]")}
	}
	s.list(sent(0).says(10, names(all[:8]...)), sent(10).later(10*time.Second).says(20, names(all...)),
		sent(20).later(time.Minute).says(30, names(all...)))
	p := s.run(4*time.Minute, Options{Connections: 16})
	p.logged(detect.MessageOversubscribed, 1)
	p.logged("level=WARN", 0)
	if told := p.of("s19"); len(told) != 2 || told[1] != "n1/s19 n2/s19" {
		t.Errorf("got the updates %q for s19", told)
	}
	if late := metric(t, p.registry, stalenessGauge); late <= 0 || late > 5 {
		t.Errorf("got the staleness %v, expected more than 0 and at most 5", late)
	}
	p.metric(failingGauge, 0)
	s.checkTurns(all)
}

// checkTurns checks that each service has a poll or index queries. An index query runs when the service becomes unwatched,
// and soon and later after the list reports a change.
func (s *fakeConsul) checkTurns(all []string) {
	asked := map[string]int{}
	for _, r := range s.requests {
		asked[r]++
	}
	unwatched, early := 0, 0
	for i, name := range all {
		polls, indexQueries := asked[servicePath(name)+"?11"]+asked[servicePath(name)+"?12"], asked[servicePath(name)+" index query"]
		if indexQueries > 0 {
			unwatched++
		}
		if indexQueries > 0 && i < 8 {
			early++
		}
		if polls > 3 || indexQueries > 5 || polls == 0 && indexQueries < 2 {
			s.t.Errorf("%s had %d polls and %d index queries", name, polls, indexQueries)
		}
	}
	// Nine services have no poll, and one service lost its poll to s19. Three services may have been queried before their read.
	if unwatched < 9 || unwatched > 13 {
		s.t.Errorf("got %d unwatched services", unwatched)
	}
	if early > 1 {
		s.t.Errorf("%d of the first eight services lost their poll", early)
	}
	if s.most > 16 {
		s.t.Errorf("got %d concurrent requests", s.most)
	}
}

// TestServerWithoutALeaderIsRejected verifies that the source discards answers of a server without a leader. Such a
// server would never report a change.
func TestServerWithoutALeaderIsRejected(t *testing.T) {
	s := webScript(t)
	s.service("web", sent(11).later(time.Second).says(12, instances("web", "n1/old")).with("X-Consul-Lastcontact", "10001"),
		sent(0).says(12, instances("web", "n1/new")))
	p := s.run(time.Minute, Options{})
	p.told("web: n1/web-1", "synced test", "web: n1/new")
	p.metric(discardedTotal, 1, "reason=stale_server")
}

// TestServiceWithOlderIndexCausesReadOfTheList restores a snapshot. The restore can end the query of a service while the
// query of the list waits for an index that is far ahead.
func TestServiceWithOlderIndexCausesReadOfTheList(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(20, names("web", "late")), sent(0).says(5, names("web")))
	s.service("web", sent(0).says(11, instances("web", "n1/web-1")),
		sent(11).later(time.Second).says(4, instances("web", "n1/old")), sent(0).says(4, instances("web", "n1/old")),
		sent(0).says(4, instances("web", "n1/old")))
	s.service("late", sent(0).later(time.Millisecond).says(12, instances("late", "n1/late-1")), sent(0).says(5, "[]"))
	p := s.run(20*time.Second, Options{})
	p.told("web: n1/web-1", "late: n1/late-1", "synced test", "web: n1/old", "late:")
}
