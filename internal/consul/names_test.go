package consul

import (
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func TestSyncedWaitsForEveryServiceThatMayAnswer(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web", "a/../b", "bad\x01", "refused", "gone")))
	s.service("web", sent(0).fails(500, ""), sent(0).fails(403, ""),
		sent(0).says(11, instances("web", "n1/web-1")))
	s.service("refused", sent(0).fails(400, "Bad request"), sent(0).fails(400, "Bad request"),
		sent(0).fails(400, "Bad request"), sent(0).fails(400, "Bad request"))
	s.service("gone", sent(0).says(11, "[]"))
	p := s.run(6*time.Minute+30*time.Second, Options{})
	told := p.sink.all()
	slices.Sort(told[:len(told)-1])
	if want := []string{"a/../b: partly", "bad\x01: partly", "refused: partly", "web: n1/web-1", "synced test"}; !slices.Equal(told, want) {
		t.Errorf("got the updates %q", told)
	}
	p.metric(failingGauge, 3, "reason=invalid_name")
	p.logged(messageInvalidName, 3)
	p.logged("reason=invalid_name", 0)
}

// TestServiceIsNotLeftOutForOneBadRequest verifies that one bad answer doesn't leave a service out. Leaving a service out
// removes it from the mesh.
func TestServiceIsNotLeftOutForOneBadRequest(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web")))
	for range 2 {
		s.service("web", sent(0).fails(400, "?"), sent(0).fails(400, "?"), sent(0).fails(500, ""))
	}
	s.service("web", sent(0).says(11, instances("web", "n1/web-1")))
	p := s.run(5*time.Minute, Options{})
	p.told("web: partly", "web: n1/web-1", "synced test")
	p.logged("left out", 0)
}

func TestInvalidNameIsForgottenWithTheList(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("..")), sent(10).later(time.Minute).says(20, names()))
	p := s.run(2*time.Minute, Options{})
	p.told("..: partly", "synced test")
	p.metric(failingGauge, 0)
}

func TestNamesThatDifferInCaseOnly(t *testing.T) {
	entry := func(name, id string) *api.ServiceEntry {
		return &api.ServiceEntry{Node: &api.Node{Node: "n1"}, Service: &api.AgentService{ID: id, Service: name}}
	}
	both := mustJSON([]*api.ServiceEntry{entry("Foo_Bar", "a"), entry("foo_bar", "b")})
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("Foo_Bar", "foo_bar")))
	s.service("Foo_Bar", sent(0).says(11, both))
	s.service("foo_bar", sent(0).later(time.Millisecond).says(11, both))
	p := s.run(time.Minute, Options{})
	p.told("Foo_Bar: n1/a", "foo_bar: n1/b", "synced test")
}
