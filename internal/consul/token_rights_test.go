package consul

import (
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func TestFilteredAnswersRemoveNothing(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web", "api")).filtered(),
		sent(10).later(time.Second).says(20, names("api")).filtered(),
		sent(20).later(time.Second).says(30, "{}").filtered(),
		sent(0).says(31, names("web", "api")))
	s.service("web", sent(0).says(11, instances("web", "n1/web-1", "n2/web-2")),
		// The list has lost the service, but the token can't read it any more. It stays.
		sent(0).says(20, instances("web", "n1/web-1")).filtered(),
		// The list answers again, so the failing queries are retried at once.
		sent(0).says(31, instances("web", "n1/web-1", "n2/web-2")))
	s.service("api", sent(0).later(time.Millisecond).says(11, instances("api", "n1/api-1")).filtered(),
		sent(11).later(30*time.Second).says(21, instances("api", "n1/api-1", "n2/api-2")).filtered(),
		sent(0).says(21, instances("api", "n1/api-1", "n2/api-2")).filtered(),
		sent(21).later(time.Minute).says(22, "[]").filtered(), sent(0).says(22, "[]").filtered(),
		sent(0).says(23, instances("api", "n2/api-2")))
	p := s.run(5*time.Minute, Options{})
	p.told("web: n1/web-1 n2/web-2", "api: n1/api-1 partly", "synced test partly",
		"api: n1/api-1 n2/api-2 partly", "synced test", "api: n1/api-1 n2/api-2 partly", "api: n2/api-2")
	p.metric(discardedTotal, 3, "reason=filtered")
	p.metric(failingGauge, 0)
	p.logged("reason=filtered", 2)
}

// TestFilteredListLetsReadableServicesLeave verifies that deregistered services leave, even with a token for a part of the
// catalog.
func TestFilteredListLetsReadableServicesLeave(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web")).filtered(), sent(10).later(time.Second).says(20, names()).filtered())
	s.service("web", sent(0).says(11, instances("web", "n1/web-1")), sent(0).says(20, "[]"))
	p := s.run(time.Minute, Options{})
	p.told("web: n1/web-1", "synced test partly", "web:")
	p.metric(failingGauge, 1, "reason=filtered")
	p.logged("level=WARN", 1)
}

func TestAnonymousUnderDefaultDeny(t *testing.T) {
	unknown := sent(0).fails(403, "ACL not found")
	for name, token := range map[string]string{"no token is configured": "", "is not valid in this datacenter": "b9e0c5d1-elsewhere"} {
		t.Run(name, func(t *testing.T) {
			s := newFakeConsul(t)
			s.list(sent(0).says(10, "{}").deny(), sent(0).says(10, names("web")).deny(),
				sent(10).later(time.Second).says(20, "{}").deny(), sent(0).says(21, "{}").deny(),
				sent(0).says(22, names("web")).deny())
			if token != "" {
				s.steps[selfPath] = slices.Repeat([]step{unknown}, 7)
			}
			s.service("web", sent(0).says(11, instances("web", "n1/web-1")).deny())
			p := s.run(3*time.Minute, Options{Config: &api.Config{Token: token}})
			p.told("web: n1/web-1", "synced test")
			p.metric(discardedTotal, 3, "reason=anonymous")
			p.metric(failingGauge, 0)
			p.logged(name, 1)
		})
	}
}

// TestAnonymousReadsUnderDefaultDeny covers an anonymous token with read rights. A lost right and a removed service look
// the same there. The list shows the difference.
func TestAnonymousReadsUnderDefaultDeny(t *testing.T) {
	nobody := &api.Config{}
	t.Run("the list still holds it", func(t *testing.T) {
		s := newFakeConsul(t)
		s.list(sent(0).says(10, names("web")).deny())
		s.service("web", sent(0).says(11, instances("web", "n1/web-1")).deny(),
			sent(11).later(time.Second).says(12, "[]").deny(), sent(0).says(12, "[]").deny(),
			sent(0).says(12, "[]").deny(), sent(0).says(12, "[]").deny(),
			sent(0).says(13, instances("web", "n1/web-1")).deny())
		p := s.run(time.Minute, Options{Config: nobody})
		p.told("web: n1/web-1", "synced test")
		p.logged("reason=anonymous", 2)
	})
	t.Run("the list holds it no more", func(t *testing.T) {
		s := newFakeConsul(t)
		s.list(sent(0).says(10, names("web")).deny(), sent(10).later(1100*time.Millisecond).says(12, names()).deny())
		s.service("web", sent(0).says(11, instances("web", "n1/web-1")).deny(),
			sent(11).later(time.Second).says(12, "[]").deny(), sent(0).says(12, "[]").deny(),
			sent(0).says(12, "[]").deny())
		p := s.run(time.Minute, Options{Config: nobody})
		p.told("web: n1/web-1", "synced test", "web:")
		p.logged("level=WARN", 0)
	})
	t.Run("it could never be read", func(t *testing.T) {
		s := newFakeConsul(t)
		s.list(sent(0).says(10, names("web")).deny())
		s.service("web", sent(0).says(12, "[]").deny(), sent(0).says(12, "[]").deny(), sent(0).says(12, "[]").deny())
		p := s.run(20*time.Second, Options{Config: nobody})
		p.told("web: partly", "synced test")
		p.metric(failingGauge, 1, "reason=anonymous")
	})
	t.Run("in another datacenter", func(t *testing.T) {
		s := newFakeConsul(t)
		s.list(sent(0).says(10, names("web")), sent(10).later(time.Second).says(20, "{}"))
		s.service("web", sent(0).says(11, instances("web", "n1/web-1")), sent(11).later(time.Second).says(12, "[]"),
			sent(0).says(12, "[]"), sent(0).says(12, "[]"), sent(0).says(12, "[]"))
		p := s.run(20*time.Second, Options{Datacenter: "dc2"})
		p.told("web: n1/web-1", "synced test")
		p.metric(failingGauge, 2, "reason=anonymous")
	})
}

// TestTokenCheckStopsNothing verifies that a token without ACLs, or a token that can't be checked, is no failure if the
// catalog is readable.
func TestTokenCheckStopsNothing(t *testing.T) {
	for name, test := range map[string]struct {
		answer step
		logged string
	}{
		"ACLs are disabled": {sent(0).fails(401, "ACL support disabled"), "ACLs are disabled"},
		"known elsewhere":   {sent(0).fails(403, "ACL not found"), ""},
		"unknown":           {sent(0).fails(500, "No path to datacenter"), ""},
		"no answer":         {sent(0).hangs(), ""},
		"valid for a while": {sent(0).says(1, `{"AccessorID": "a", "ExpirationTime": "2031-01-02T03:04:05Z"}`), "expires=2031-01-02T03:04:05Z"},
	} {
		t.Run(name, func(t *testing.T) {
			s := webScript(t)
			s.steps[selfPath] = []step{test.answer}
			p := s.run(time.Minute, Options{Config: &api.Config{Token: "b9e0c5d1"}})
			p.told("web: n1/web-1", "synced test")
			p.logged("level=WARN", 0)
			p.logged("b9e0c5d1", 0)
			if test.logged != "" {
				p.logged(test.logged, 1)
			}
		})
	}
}
