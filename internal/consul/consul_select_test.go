package consul

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// TestConsulSelection runs on a real Consul server, with and without streaming, because both modes wake and answer a
// filtered query.
func TestConsulSelection(t *testing.T) {
	for name, config := range map[string]string{
		"streaming":     ``,
		"not streaming": notStreaming,
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, config)
			t.Run("names", s.testSelectNames)
			t.Run("tags and meta", s.testSelectTags)
			t.Run("filter", s.testFilter)
			t.Run("changed selection", s.testReselect)
			t.Run("wrong filter", s.testWrongFilter)
		})
	}
}

// selecting runs a source and waits for its first complete state.
func (s *server) selecting(t *testing.T, opts Options) *harness {
	t.Helper()
	if opts.Config == nil {
		opts.Config = &api.Config{Address: s.Address}
	}
	p := runReal(t, opts)
	eventually(t, "the complete state", func() bool { return strings.Contains(strings.Join(p.sink.all(), "\n"), "synced test") })
	return p
}

func tagged(tags ...string) func(*api.CatalogRegistration) {
	return func(r *api.CatalogRegistration) { r.Service.Tags = tags }
}

func having(meta ...string) func(*api.CatalogRegistration) {
	return func(r *api.CatalogRegistration) {
		r.Service.Meta = map[string]string{}
		for i := 0; i < len(meta); i += 2 {
			r.Service.Meta[meta[i]] = meta[i+1]
		}
	}
}

func (s *server) testSelectNames(t *testing.T) {
	for _, name := range []string{"shop-web", "shop-db", "other"} {
		s.register("n1", name+"-1", name)
	}
	p := s.selecting(t, Options{Selection: Selection{Include: []string{"shop-*"}, Exclude: []string{"*-db"}}})
	p.expect(t, "shop-web", "n1/shop-web-1")
	s.register("n1", "shop-api-1", "shop-api")
	p.expect(t, "shop-api", "n1/shop-api-1")
	for _, name := range []string{"shop-db", "other"} {
		if p.expect(t, name); p.watches(name) {
			t.Errorf("the source queries %s, which is not selected", name)
		}
	}
}

func (s *server) testSelectTags(t *testing.T) {
	s.register("n1", "tagged-1", "tagged", tagged("mesh", "env=prod"))
	s.register("n2", "tagged-2", "tagged", tagged("mesh"))
	s.register("n1", "no-1", "no", tagged("mesh", "env=test"), having("isthmus", "False"))
	p := s.selecting(t, Options{Selection: Selection{WithTags: []string{"mesh", "env=*"}, WithoutTags: []string{"draining"}}})
	p.expect(t, "tagged", "n1/tagged-1")
	p.expect(t, "no", "")
	s.register("n1", "tagged-1", "tagged", tagged("mesh", "env=prod", "draining"))
	p.expect(t, "tagged", "n1/tagged-1", "")
	s.register("n2", "tagged-2", "tagged", tagged("mesh", "env=prod"))
	p.expect(t, "tagged", "n1/tagged-1", "", "n2/tagged-2")
	s.register("n2", "tagged-2", "tagged", tagged("mesh", "env=prod"), having("isthmus", "false"))
	p.expect(t, "tagged", "n1/tagged-1", "", "n2/tagged-2", "")
	p.logged("level=WARN", 0)
}

func (s *server) testFilter(t *testing.T) {
	s.register("n1", "fit-1", "fit", having("team", "blue"))
	s.register("n2", "fit-2", "fit", having("team", "red"))
	p := s.selecting(t, Options{Filter: `Service.Meta.team == "blue" and Service.Service == "fit"`, Wait: time.Minute})
	p.expect(t, "fit", "n1/fit-1")
	s.register("n2", "fit-2", "fit", having("team", "blue"))
	p.expect(t, "fit", "n1/fit-1", "n1/fit-1 n2/fit-2")
	s.register("n1", "fit-1", "fit", having("team", "red"))
	p.expect(t, "fit", "n1/fit-1", "n1/fit-1 n2/fit-2", "n2/fit-2")
	s.register("n1", "fit-1", "fit", having("team", "green")) // wakes the query without changing the result
	s.register("n2", "fit-2", "fit", having("team", "red"))
	p.expect(t, "fit", "n1/fit-1", "n1/fit-1 n2/fit-2", "n2/fit-2", "")
	s.register("n2", "fit-2", "fit", having("team", "blue"))
	p.expect(t, "fit", "n1/fit-1", "n1/fit-1 n2/fit-2", "n2/fit-2", "", "n2/fit-2")
	p.logged("level=WARN", 0)
}

func (s *server) testReselect(t *testing.T) {
	s.register("n1", "now-1", "now", tagged("v1"))
	s.register("n2", "now-2", "now", tagged("v2"))
	s.register("n1", "later-1", "later")
	p := s.selecting(t, Options{Selection: Selection{Include: []string{"now"}}})
	p.expect(t, "now", "n1/now-1 n2/now-2")
	p.source.Select(Selection{Include: []string{"now"}, WithoutTags: []string{"v1"}})
	p.expect(t, "now", "n1/now-1 n2/now-2", "n2/now-2")
	p.source.Select(Selection{Include: []string{"later"}})
	p.expect(t, "now", "n1/now-1 n2/now-2", "n2/now-2", "")
	p.expect(t, "later", "n1/later-1")
	eventually(t, "deselected services are not queried", func() bool { return !p.watches("now") })
	if names := p.source.detector.ServicesOn("n2", "now-2"); len(names) != 0 {
		t.Errorf("services %q still have an instance", names)
	}
	p.source.Select(Selection{})
	p.expect(t, "now", "n1/now-1 n2/now-2", "n2/now-2", "", "n1/now-1 n2/now-2")
	p.source.Select(Selection{Exclude: []string{"*"}})
	eventually(t, "the log line", func() bool { return strings.Contains(p.log.String(), "no service is selected") })
}

func (s *server) testWrongFilter(t *testing.T) {
	for filter, want := range map[string]string{
		`Service.Meta.team = "blue"`: `expected: "!=", "==", "contains"`,
		`Servise.Meta.team == "x"`:   `Selector "Servise" is not valid`,
		`Service.Port == "x"`:        `Failed to coerce value "x" for selector "Service.Port"`,
	} {
		p := newHarness(t)
		p.open(Options{Config: &api.Config{Address: s.Address}, Filter: filter})
		err := p.source.Run(t.Context(), p.sink)
		if err == nil || !strings.HasPrefix(err.Error(), "services.filter ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", filter, err)
		}
		p.told()
		p.logged("level=WARN", 0)
	}
}

// TestConsulFilterAndACL verifies, for a token with partial rights only, that an instance leaves when the filter stops
// matching it, and that an instance stays when the token can't read it any more.
func TestConsulFilterAndACL(t *testing.T) {
	s := startServer(t, acls(t))
	s.register("n1", "web-1", "web", having("team", "blue"))
	s.register("n2", "web-2", "web", having("team", "blue"))
	_, secret, policy := s.token(t, "n1", `node "n1" { policy = "read" } service_prefix "" { policy = "read" }`)
	p := runReal(t, Options{
		Config: &api.Config{Address: s.Address, Token: secret}, Filter: `Service.Meta.team == "blue"`, Wait: time.Second,
	})
	p.expect(t, "web", "n1/web-1 partly")
	s.register("n1", "web-1", "web", having("team", "red"))
	p.expect(t, "web", "n1/web-1 partly", "partly")
	s.register("n1", "web-1", "web", having("team", "blue"))
	p.expect(t, "web", "n1/web-1 partly", "partly", "n1/web-1 partly")
	policy.Rules = `node "n2" { policy = "read" } service_prefix "" { policy = "read" }`
	if _, _, err := s.api.ACL().PolicyUpdate(policy, nil); err != nil {
		t.Fatal(err)
	}
	// Consul omits the instances that the token can't read any more. They stay, with any filter.
	eventually(t, "a refused answer", func() bool { return metric(t, p.registry, discardedTotal, "reason=filtered") > 0 })
	p.expect(t, "web", "n1/web-1 partly", "partly", "n1/web-1 partly", "n1/web-1 n2/web-2 partly")
	p.awaitFailure(t, "filtered", p.sink.all())
	t.Run("anonymous token", s.testFilterWithoutToken)
}

// testFilterWithoutToken uses a filter that excludes all instances of a service. For the anonymous token, this looks like
// missing rights. The result of the inverted filter shows the difference.
func (s *server) testFilterWithoutToken(t *testing.T) {
	_, _, policy := s.token(t, "everybody", readAll)
	anonymous, _, err := s.api.ACL().TokenRead("00000000-0000-0000-0000-000000000002", nil)
	if err != nil {
		t.Fatal(err)
	}
	anonymous.Policies = []*api.ACLTokenPolicyLink{{ID: policy.ID}}
	if _, _, err := s.api.ACL().TokenUpdate(anonymous, nil); err != nil {
		t.Fatal(err)
	}
	p := s.selecting(t, Options{Filter: `Service.Meta.team == "none"`})
	p.expect(t, "web")
	p.logged("level=WARN", 0)
}
