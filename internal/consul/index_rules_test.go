package consul

import (
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

const (
	discardedTotal = "isthmus_consul_rejected_responses_total"
	failingGauge   = "isthmus_consul_failing_queries"
	began          = failure.MessageFailing
	ended          = failure.MessageRecovered
)

// webScript is a script with one service and one instance.
func webScript(t *testing.T) *fakeConsul {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web")))
	s.service("web", sent(0).says(11, instances("web", "n1/web-1")))
	return s
}

func TestCompleteStateThenChanges(t *testing.T) {
	s := webScript(t)
	s.service("web",
		sent(11).later(time.Second).says(12, instances("web", "n1/web-1", "n2/web-2")),
		// A wake without a difference (the output of a check) causes no update.
		sent(12).later(time.Second).says(13, instances("web", "n1/web-1", "n2/web-2")))
	s.list(sent(10).later(time.Minute).says(20, names("web", "api")))
	s.service("api", sent(0).says(21, instances("api", "n1/api-1")))
	p := s.run(2*time.Minute, Options{})
	p.told("web: n1/web-1", "synced test", "web: n1/web-1 n2/web-2", "api: n1/api-1")
	p.logged("level=WARN", 0)
}

func TestTimeoutIsRetriedWithTheSameIndex(t *testing.T) {
	s := webScript(t)
	p := s.run(time.Hour, Options{})
	p.told("web: n1/web-1", "synced test")
	p.metric(discardedTotal, 0)
	p.logged("level=", 1)
	asked := 0
	for _, r := range s.requests {
		if r == servicePath("web")+"?11" {
			asked++
		}
	}
	if asked < 10 || asked > 16 {
		t.Errorf("got %d requests in an hour, expected one every 4 to 6 minutes", asked)
	}
}

// TestQueryThatIsNotHeld verifies that the source pauses between requests to a proxy that doesn't hold a query, and that it
// reports this as a failure.
func TestQueryThatIsNotHeld(t *testing.T) {
	s := webScript(t)
	for range 6 {
		s.service("web", sent(11).says(11, instances("web", "n1/web-1")), sent(0).says(11, instances("web", "n1/web-1")))
	}
	p := s.run(4*time.Minute, Options{})
	p.told("web: n1/web-1", "synced test")
	p.metric(discardedTotal, 6, "reason=not_blocking")
	p.logged("reason=not_blocking", 2)
	if asked := len(s.requests); asked > 20 {
		t.Errorf("got %d requests in 4 minutes", asked)
	}
}

// TestQueryThatEndsEarlyIsReadAgain restores a snapshot, which ends the query of the list with the old index and the old
// names.
func TestQueryThatEndsEarlyIsReadAgain(t *testing.T) {
	for name, index := range map[string]int{"to an older state": 5, "to a newer state": 15} {
		t.Run(name, func(t *testing.T) {
			s := webScript(t)
			s.list(sent(10).later(30*time.Second).says(10, names("web")), sent(0).says(index, names("web")))
			s.service("web", sent(0).says(index+1, instances("web", "n1/old")))
			p := s.run(2*time.Minute, Options{})
			p.told("web: n1/web-1", "synced test", "web: n1/old")
			p.logged("level=WARN", 0)
		})
	}
}

func TestIndexRules(t *testing.T) {
	held := 4 * time.Minute
	whole := instances("web", "n1/web-1")
	tests := map[string]struct {
		answer step
		reason string
	}{
		"the same index with an empty body":   {sent(11).later(held).says(11, "[]"), "index_unchanged"},
		"the same index with another body":    {sent(11).later(held).says(11, instances("web", "n1/x")), "index_unchanged"},
		"index 1 with an empty body":          {sent(11).later(held).says(1, "[]"), "index_uninitialized"},
		"index 0":                             {sent(11).later(held).says(0, "[]"), "index_uninitialized"},
		"an older index with an older body":   {sent(11).later(held).says(9, instances("web", "n1/old")), "index_backwards"},
		"an older index with an empty body":   {sent(11).later(held).says(9, "[]"), "index_backwards"},
		"no index in the answer":              {sent(11).later(held).with("X-Consul-Index", ""), "index_uninitialized"},
		"garbage in the place of the index":   {sent(11).later(held).with("X-Consul-Index", "x"), "index_uninitialized"},
		"the same index, null in the body":    {sent(11).later(held).says(11, "null"), "index_unchanged"},
		"index 1 with a body that looks good": {sent(11).later(held).says(1, whole), "index_uninitialized"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := webScript(t)
			if test.answer.body == "" {
				test.answer.body = "[]"
			}
			s.service("web", test.answer, sent(0).says(12, whole))
			p := s.run(6*time.Minute, Options{})
			p.told("web: n1/web-1", "synced test")
			p.metric(discardedTotal, 1, "reason="+test.reason)
			p.metric(failingGauge, 0)
			p.logged(began, 1)
			p.logged("reason="+test.reason, 2)
			p.logged(ended, 1)
			if held := s.held[servicePath("web")]; held != "12" {
				t.Errorf("the query continues from index %q, expected 12", held)
			}
		})
	}
}

// TestFirstReadWithIndexOneIsRetried verifies that a read without an index is discarded too if its own index is invalid.
func TestFirstReadWithIndexOneIsRetried(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(1, names()), sent(0).says(10, names("web")))
	s.service("web", sent(0).says(1, "[]"), sent(0).says(11, instances("web", "n1/web-1")))
	p := s.run(time.Minute, Options{})
	p.told("web: n1/web-1", "synced test")
	p.metric(discardedTotal, 2, "reason=index_uninitialized")
}
