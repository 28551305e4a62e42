package consul

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// TestServicesAboveTheLimit verifies on a real Consul: above the limit, new services wait and everything else goes on. A
// restart has the services of the last known good, and no other. A service comes when another one has left.
func TestServicesAboveTheLimit(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	for i := range 5 {
		s.register("n1", fmt.Sprint("s", i, "-1"), fmt.Sprint("s", i))
	}
	opts := Options{Config: &api.Config{Address: s.Address}, Wait: time.Minute, Limits: Limits{Services: 5}}
	p := runReal(t, opts)
	p.synced(t)
	p.source.Prefer(nil)
	s.register("n1", "a1-1", "a1")
	waiting := func(want float64) {
		t.Helper()
		eventually(t, fmt.Sprint(want, " services wait"), func() bool {
			return metric(t, p.registry, "isthmus_consul_waiting_services") == want &&
				(metric(t, p.registry, "isthmus_consul_failing_queries", "reason=over_limit") == 1) == (want > 0)
		})
	}
	waiting(1)
	s.register("n2", "s4-2", "s4")
	p.expect(t, "s4", "n1/s4-1", "n1/s4-1 n2/s4-2")
	s.deregister("n1", "s0-1")
	p.expect(t, "s0", "n1/s0-1", "")
	p.expect(t, "a1", "n1/a1-1")
	waiting(0)
	s.register("n1", "a2-1", "a2")
	waiting(1)
	if got := p.of("a2"); got != nil {
		t.Errorf("a service above the limit was reported: %q", got)
	}

	b := startFakeEngine(t, opts, "a1: n1/a1-1", "gone: n1/gone-1", "s1: n1/s1-1", "s2: n1/s2-1", "s3: n1/s3-1", "s4: n1/s4-1")
	want := "a1: n1/a1-1\ns1: n1/s1-1\ns2: n1/s2-1\ns3: n1/s3-1\ns4: n1/s4-1 n2/s4-2"
	eventually(t, "the restart has the last known good", func() bool { return b.said() == want })
	s.deregister("n1", "s1-1")
	want = "a1: n1/a1-1\na2: n1/a2-1\ns2: n1/s2-1\ns3: n1/s3-1\ns4: n1/s4-1 n2/s4-2"
	eventually(t, "the next service takes the place", func() bool { return b.said() == want })
	eventually(t, "the content is complete", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Equal(b.synced, []bool{false, true})
	})
}

// TestAdmission verifies that the choice among too many names is that of the preferred ones, then the first by name, and
// does not depend on their order.
func TestAdmission(t *testing.T) {
	preferred := map[string]bool{"p": true, "z": true}
	for room, want := range []string{"", "p", "p z", "a p z", "a b p z", "a b c p z", "a b c d p z", "a b c d p z"} {
		orders := []string{"abcdpz", "zpdcba", "pazbdc", "cadbzpp"}
		for _, order := range orders {
			a := newAdmission(room)
			for _, name := range order {
				a.offer([]byte{byte(name)}, 1, preferred[string(name)])
			}
			l := listing{names: map[string]uint64{}}
			a.addTo(&l)
			got := fmt.Sprint(slices.Sorted(maps.Keys(l.names)))
			if got != "["+want+"]" {
				t.Errorf("room for %d of %s: got %s, want [%s]", room, order, got, want)
			}
		}
	}
}
