package consul

import (
	"testing"
	"time"
)

// TestFilterIsCheckedFirst holds that a Consul in trouble at the start is waited for, and not taken for one that refuses
// the filter.
func TestFilterIsCheckedFirst(t *testing.T) {
	s := newScript(t)
	s.service("consul", sent(0).fails(500, "No cluster leader"), sent(0).fails(403, "Permission denied"), sent(0).says(10, "[]"))
	s.list(sent(0).says(10, names("web")))
	s.service("web", sent(0).says(10, instances("web", "n1/a")))
	p := s.run(2*time.Minute, Options{Filter: "Service.Port == 80"})
	p.told("web: n1/a", "synced test")
	p.metric(troubleGauge, 0)
}

// TestNamesLeftOutCostNothing holds that a name which is not selected is not asked for: the script has no answer for it.
func TestNamesLeftOutCostNothing(t *testing.T) {
	s := newScript(t)
	s.list(sent(0).says(10, names("web", "x/db", "db")), sent(10).later(time.Minute).says(20, names("web", "x/api", "db")))
	s.service("web", sent(0).says(10, instances("web", "n1/a")))
	p := s.run(2*time.Minute, Options{Selection: Selection{Exclude: []string{"x/*", "d?"}}})
	p.told("web: n1/a", "synced test")
}

// TestTroubleEndsWithTheSelection holds that a service which may no longer be read, and so stays as it is, leaves
// and is not asked for any more once it is left out.
func TestTroubleEndsWithTheSelection(t *testing.T) {
	s := startServer(t, `acl {
		enabled = true
		default_policy = "deny"
		tokens { initial_management = "`+management+`" }
	}`)
	s.register("n1", "web-1", "web")
	_, secret, policy := s.token(t, "all", readAll)
	p := s.watch(t, secret, time.Second)
	policy.Rules = `node_prefix "" { policy = "read" } service "consul" { policy = "read" }`
	if _, _, err := s.api.ACL().PolicyUpdate(policy, nil); err != nil {
		t.Fatal(err)
	}
	p.trouble(t, "filtered", p.sink.all())
	p.source.Select(Selection{Exclude: []string{"web"}})
	p.expect(t, "web", "n1/web-1", "")
	eventually(t, "the watch ends", func() bool { return !p.watches("web") })
}
