package consul

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"
)

// TestFilterIsCheckedFirst verifies that the source waits for a Consul that fails at the start, and doesn't treat the
// failure as a refusal of the filter.
func TestFilterIsCheckedFirst(t *testing.T) {
	s := newFakeConsul(t)
	s.service("consul", sent(0).fails(500, "No cluster leader"), sent(0).fails(403, "Permission denied"), sent(0).says(10, "[]"))
	s.list(sent(0).says(10, names("web")))
	s.service("web", sent(0).says(10, instances("web", "n1/a")))
	p := s.run(2*time.Minute, Options{Filter: "Service.Port == 80"})
	p.told("web: n1/a", "synced test")
	p.metric(failingGauge, 0)
}

// TestRefusedFilter verifies when a refusal of the filter ends the source: only at the start, and only if it is permanent.
func TestRefusedFilter(t *testing.T) {
	const said = filterErrorPrefix + "Selector is not valid"
	for name, test := range map[string]struct {
		answers []step
		ends    bool
		told    int
	}{
		"at the start":          {[]step{sent(0).fails(500, said)}, true, 0},
		"one bad request":       {[]step{sent(0).fails(400, "?"), sent(0).says(10, "[]")}, false, 2},
		"bad requests in a row": {slices.Repeat([]step{sent(0).fails(400, "?")}, 3), true, 0},
		"long after it":         {[]step{sent(0).hangs(), sent(0).fails(500, said), sent(0).says(10, "[]")}, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeConsul(t)
			s.service("consul", test.answers...)
			if !test.ends {
				s.list(sent(0).says(10, names("web")))
				s.service("web", sent(0).says(10, instances("web", "n1/a")))
			}
			p := newHarness(t)
			synctest.Test(t, func(t *testing.T) {
				p.open(Options{Filter: "x", Config: &api.Config{Token: "token"}})
				p.source.client.NewTransport = func(int) http.RoundTripper { return s }
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				if err := p.source.Run(ctx, p.sink); (err != nil) != test.ends {
					t.Errorf("Run: %v", err)
				}
			})
			if got := len(p.sink.all()); got != test.told {
				t.Errorf("got the updates %q", p.sink.all())
			}
			if name == "long after it" {
				p.logged("reason=timeout", 2) // the failure and its end; the metrics show the later refusal
			}
		})
	}
}

// TestFilesAreReadWhileTheFilterIsChecked verifies that a token without read rights is replaced even before the first
// answer.
func TestFilesAreReadWhileTheFilterIsChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "one")
	s := newFakeConsul(t)
	s.service("consul", sent(0).fails(403, "ACL not found"), sent(0).says(10, "[]"))
	s.list(sent(0).says(10, names("web")))
	s.service("web", sent(0).says(10, instances("web", "n1/a")))
	p := newHarness(t)
	synctest.Test(t, func(t *testing.T) {
		p.open(Options{Filter: "x", Config: &api.Config{TokenFile: file}, pollFiles: time.Second})
		p.source.client.NewTransport = func(int) http.RoundTripper { return s }
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // without a new token, the next try is after half a minute
		defer cancel()
		time.AfterFunc(3*time.Second, func() { write(t, file, "two") })
		if err := p.source.Run(ctx, p.sink); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	p.told("web: n1/a", "synced test")
}

// TestNamesLeftOutCostNothing verifies that the source doesn't query a name that is not selected. The script has no answer
// for such a name.
func TestNamesLeftOutCostNothing(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web", "x/db", "db")), sent(10).later(time.Minute).says(20, names("web", "x/api", "db")))
	s.service("web", sent(0).says(10, instances("web", "n1/a")))
	p := s.run(2*time.Minute, Options{Selection: Selection{Exclude: []string{"x/*", "d?"}}})
	p.told("web: n1/a", "synced test")
}

// TestTroubleEndsWithTheSelection verifies that a service which can't be read, and so keeps its state, leaves when it is
// deselected, and that the source then stops querying it.
func TestTroubleEndsWithTheSelection(t *testing.T) {
	s := startServer(t, acls(t))
	s.register("n1", "web-1", "web")
	_, secret, policy := s.token(t, "all", readAll)
	p := s.watch(t, secret, time.Second)
	policy.Rules = `node_prefix "" { policy = "read" } service "consul" { policy = "read" }`
	if _, _, err := s.api.ACL().PolicyUpdate(policy, nil); err != nil {
		t.Fatal(err)
	}
	p.awaitFailure(t, "filtered", p.sink.all())
	p.source.Select(Selection{Exclude: []string{"web"}})
	p.expect(t, "web", "n1/web-1", "")
	eventually(t, "the watch ends", func() bool { return !p.watches("web") })
}
