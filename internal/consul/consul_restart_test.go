package consul

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

// testRestart restarts Consul. Until its view is loaded, a restarted server answers a short blocking query with status
// 200, an empty body and index 1. Before that, it answers with errors.
func (s *server) testRestart(t *testing.T) {
	for _, id := range []string{"1", "2", "3"} {
		s.register("n"+id, "lasting-"+id, "lasting")
	}
	p := s.watch(t, "", 300*time.Millisecond)
	before := p.sink.all()
	s.Kill()
	eventually(t, "the failure is reported", func() bool { return metric(t, p.registry, failingGauge) > 1 })
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failure is over", func() bool { return metric(t, p.registry, failingGauge) == 0 })
	if lines := strings.Count(p.log.String(), "query="); lines == 0 || lines > 2 {
		t.Errorf("got %d log lines about failing queries:\n%s", lines, p.log)
	}
	s.register("n4", "lasting-4", "lasting")
	all := "n1/lasting-1 n2/lasting-2 n3/lasting-3"
	p.expect(t, "lasting", all, all+" n4/lasting-4")
	if after := p.sink.all(); len(after) != len(before)+1 {
		t.Errorf("got updates while Consul restarted: %q", after[len(before):])
	}
}

// testRestore verifies that the source follows a restored snapshot, even where Consul doesn't wake the queries that wait
// for the newer state.
func (s *server) testRestore(t *testing.T) {
	s.register("n1", "old-1", "restored")
	snapshot, _, err := s.api.Snapshot().Save(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	saved, err := io.ReadAll(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	p := s.watch(t, "", 0)
	s.deregister("n1", "old-1")
	p.expect(t, "restored", "n1/old-1", "")
	s.register("n1", "new-1", "restored")
	s.register("n1", "late-1", "late")
	p.expect(t, "restored", "n1/old-1", "", "n1/new-1")
	p.expect(t, "late", "n1/late-1")
	// A query that arrives just after the restore waits for an index above the newest one. The restore ends a query that is
	// held at the time. The second restore finds a held query.
	eventually(t, "an update with the old state", func() bool {
		if err := s.api.Snapshot().Restore(nil, bytes.NewReader(saved)); err != nil {
			t.Fatal(err)
		}
		return within(2*time.Second, func() bool { return len(p.of("restored")) > 3 })
	})
	p.expect(t, "restored", "n1/old-1", "", "n1/new-1", "n1/old-1")
	p.expect(t, "late", "n1/late-1", "")
	p.logged(messageResync, 1)
	if metric(t, p.registry, "isthmus_consul_resyncs_total") == 0 {
		t.Error("the restore is missing in the count of resyncs")
	}
}
