package consul

import (
	"testing"
	"time"
)

func TestInstanceLeavesByAReadWithoutAnIndex(t *testing.T) {
	two := instances("web", "n1/web-1", "n2/web-2")
	tests := map[string]struct {
		woken, read string
		told        []string
	}{
		"the last one left":           {"[]", "[]", []string{"web:"}},
		"one of two left":             {instances("web", "n1/web-1"), instances("web", "n1/web-1"), []string{"web: n1/web-1"}},
		"none left after all":         {"[]", two, nil},
		"one left, another came":      {instances("web", "n3/web-3"), instances("web", "n3/web-3"), []string{"web: n3/web-3"}},
		"all became proxies":          {`[{"Node":{},"Service":{"Service":"web","Kind":"connect-proxy"}}]`, "[]", []string{"web:"}},
		"the answer is null, not all": {"null", two, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newFakeConsul(t)
			s.list(sent(0).says(10, names("web")))
			s.service("web", sent(0).says(11, two), sent(11).later(time.Second).says(12, test.woken),
				sent(0).says(12, test.read))
			p := s.run(time.Minute, Options{})
			p.told(append([]string{"web: n1/web-1 n2/web-2", "synced test"}, test.told...)...)
			p.logged("level=WARN", 0)
		})
	}
}

func TestServiceThatLeftTheListIsReadFirst(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web", "api")), sent(10).later(time.Second).says(20, names()))
	s.service("web", sent(0).says(11, instances("web", "n1/web-1")), sent(0).says(20, "[]"))
	s.service("api", sent(0).later(time.Millisecond).says(11, instances("api", "n1/api-1")),
		sent(0).later(time.Millisecond).says(20, instances("api", "n1/api-1")))
	p := s.run(time.Minute, Options{})
	p.told("web: n1/web-1", "api: n1/api-1", "synced test", "web:")
	if _, ok := p.source.services["web"]; ok {
		t.Error("the source still watches the removed service")
	}
}

func TestServiceThatLeavesAndComesBack(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web")), sent(10).later(time.Second).says(20, names()),
		sent(20).later(time.Second).says(30, names("web")))
	s.service("web", sent(0).says(11, instances("web", "n1/web-1")), sent(0).says(20, "[]"),
		sent(0).says(30, instances("web", "n1/web-1")))
	p := s.run(time.Minute, Options{})
	p.told("web: n1/web-1", "synced test", "web:", "web: n1/web-1")
}

func TestServiceThatLeavesWhileConsulFails(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web")), sent(10).later(time.Second).says(20, names()))
	s.service("web", sent(0).says(11, instances("web", "n1/web-1")), sent(0).fails(500, ""),
		sent(0).fails(500, ""), sent(0).says(1, "[]"), sent(0).says(20, "[]"))
	p := s.run(time.Minute, Options{})
	p.told("web: n1/web-1", "synced test", "web:")
	p.metric(failingGauge, 0)
}

// TestRenameUnderTheSameID covers a rename that doesn't wake the query of the old service. The new service of the same
// instance shows it.
func TestRenameUnderTheSameID(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web", "shop")))
	s.service("web", sent(0).says(11, instances("web", "n1/web-1", "n1/id")), sent(0).says(11, instances("web", "n1/web-1")))
	s.service("shop", sent(0).later(time.Millisecond).says(11, instances("shop", "n1/shop-1")),
		sent(11).later(time.Second).says(12, instances("shop", "N1/ID", "n1/shop-1")),
		sent(0).says(12, instances("shop", "N1/ID", "n1/shop-1")))
	p := s.run(time.Minute, Options{})
	p.told("web: n1/id n1/web-1", "shop: n1/shop-1", "synced test", "shop: N1/ID n1/shop-1", "web: n1/web-1")
}

// TestRenameBetweenTheFirstReads covers two services that claim the same instance. The later answer can be the wrong one,
// so the source reads both services again.
func TestRenameBetweenTheFirstReads(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web", "shop")))
	s.service("shop", sent(0).says(12, instances("shop", "n1/id")), sent(0).says(12, instances("shop", "n1/id")))
	s.service("web", sent(0).later(time.Millisecond).says(11, instances("web", "n1/id", "n1/web-1")),
		sent(0).says(11, instances("web", "n1/web-1")))
	p := s.run(time.Minute, Options{})
	p.told("shop: n1/id", "web: n1/id n1/web-1", "synced test", "web: n1/web-1")
}

// TestRepeatedlyDeniedLoss verifies that the source pauses between polls if these report a loss and the reads deny it.
func TestRepeatedlyDeniedLoss(t *testing.T) {
	s := webScript(t)
	for i := range 6 {
		s.service("web", sent(11+i).says(12+i, "[]"), sent(0).says(12+i, instances("web", "n1/web-1")))
	}
	s.service("web", sent(17).says(18, "[]"), sent(0).says(18, "[]"))
	p := s.run(time.Minute, Options{})
	p.told("web: n1/web-1", "synced test", "web:")
	// The first three reads happen at once, the later ones after 1, 2, 4 and 8 s.
	if took := p.sink.last.Sub(p.sink.first); took < 12*time.Second || took > 18*time.Second {
		t.Errorf("the loss took %s, expected 12 s to 18 s", took)
	}
}

// TestListGoingBackReadsEverythingAgain restores a snapshot, which moves the index of the list back. The source reads every
// service again, in every state of the service's own query.
func TestListGoingBackReadsEverythingAgain(t *testing.T) {
	for name, back := range map[string][]step{
		"while it is held": {sent(10).later(time.Second).says(5, names("web")), sent(0).says(5, names("web"))},
		"behind an error":  {sent(10).later(time.Second).fails(500, ""), sent(0).says(5, names("web"))},
	} {
		t.Run(name, func(t *testing.T) {
			s := webScript(t)
			s.list(back...)
			s.service("web", sent(0).says(6, instances("web", "n1/web-1", "n1/older")))
			p := s.run(time.Minute, Options{})
			p.told("web: n1/web-1", "synced test", "web: n1/older n1/web-1")
		})
	}
}

func TestRecoveryRetriesAllServicesAtOnce(t *testing.T) {
	s := webScript(t)
	s.list(sent(10).later(2*time.Second).fails(500, ""), sent(0).says(10, names("web")))
	// Without the other queries, the service would retry after half a minute.
	s.service("web", sent(11).later(time.Second).fails(403, "ACL not found"),
		sent(0).says(12, instances("web", "n1/web-1")))
	p := s.run(6*time.Second, Options{})
	p.told("web: n1/web-1", "synced test")
	p.metric(failingGauge, 0)
}
