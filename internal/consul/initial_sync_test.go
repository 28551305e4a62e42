package consul

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestStartGoesOnWithoutWhatCannotBeRead verifies that a start completes without a service that is unreadable for a reason
// of its own, and that the source reports no removal for this service.
func TestStartGoesOnWithoutWhatCannotBeRead(t *testing.T) {
	all := []string{"a", "b", "poison"}
	list := sent(0).says(10, names(all...))
	start := func(t *testing.T) *fakeConsul {
		s := newFakeConsul(t)
		s.list(list)
		s.service("a", sent(0).says(11, instances("a", "n1/a-1")))
		s.service("b", sent(0).later(time.Millisecond).says(11, instances("b", "n1/b-1")))
		return s
	}
	told := []string{"a: n1/a-1", "b: n1/b-1", "poison: partly", "synced test"}
	t.Run("too large", func(t *testing.T) {
		s := start(t)
		large := sent(0).later(2*time.Millisecond).says(11, instances("poison", "n1/"+strings.Repeat("x", 2000)))
		s.service("poison", large)
		p := s.run(20*time.Second, Options{Limits: Limits{ResponseBytes: 1000}})
		p.told(told...)
		p.metric("isthmus_consul_pending_services", 1)
		p.metric(failingGauge, 1, "reason=too_large")
		p.logged("count=1 service=poison", 1)
	})
	t.Run("errors that last", func(t *testing.T) {
		s := start(t)
		s.list(list)
		s.service("poison", slices.Repeat([]step{sent(0).fails(500, "rpc error")}, 6)...)
		s.service("poison", sent(0).says(12, "[]"))
		p := s.run(3*time.Minute, Options{})
		p.told(append(told, "poison:")...)
		p.metric("isthmus_consul_pending_services", 0)
	})
	t.Run("unless Consul doesn't answer the list either", func(t *testing.T) {
		s := start(t)
		s.list(sent(0).fails(500, ""), sent(0).fails(500, ""), list, list)
		s.service("poison", slices.Repeat([]step{sent(0).fails(500, "")}, 6)...) // some requests come before the list answers again
		s.service("poison", sent(0).says(12, instances("poison", "n1/p")))
		p := s.run(3*time.Minute, Options{})
		p.told("a: n1/a-1", "b: n1/b-1", "poison: partly", "synced test", "poison: n1/p")
	})
	t.Run("or most services", func(t *testing.T) {
		s := newFakeConsul(t)
		s.list(list)
		s.service("a", sent(0).says(11, instances("a", "n1/a-1")))
		for _, name := range all[1:] {
			s.service(name, slices.Repeat([]step{sent(0).fails(500, "")}, 6)...)
			s.service(name, sent(0).hangs())
		}
		p := s.run(75*time.Second, Options{})
		if told := p.sink.all(); slices.Contains(told, "synced test") {
			t.Errorf("got the updates %q", told)
		}
		p.metric("isthmus_consul_pending_services", 2)
	})
}

// TestStartWithAPart verifies that a start with a part of the catalog reports this. The source reports a complete state
// only after it has read the whole list and all of its services.
func TestStartWithAPart(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("a")).filtered(),
		sent(10).later(time.Second).says(20, names("a", "b", "c")),
		sent(0).says(20, names("a", "b", "c")))
	s.service("a", sent(0).says(11, instances("a", "n1/a-1")))
	s.service("b", sent(0).says(12, instances("b", "n1/b-1")))
	s.service("c", sent(0).later(time.Second).says(13, instances("c", "n1/c-1")))
	p := s.run(time.Minute, Options{})
	p.told("a: n1/a-1", "synced test partly", "b: n1/b-1", "c: n1/c-1", "synced test")
	p.metric(failingGauge, 0)
	p.logged(messagePartial, 1)
	p.logged(messageSynced, 1)
}

// TestAnswersThatAreCut verifies the removals that an answer with ACL-filtered results proves: an instance on a node that
// is still visible is gone.
func TestAnswersThatAreCut(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web")))
	s.service("web", sent(0).says(11, instances("web", "n1/a", "n2/b")),
		sent(11).later(time.Second).says(12, instances("web", "N1/c")),
		sent(0).says(12, instances("web", "N1/c")).filtered(),
		sent(0).says(13, instances("web", "n1/c")))
	p := s.run(2*time.Minute, Options{})
	p.told("web: n1/a n2/b", "synced test", "web: N1/c n2/b partly", "web: n1/c")
}
