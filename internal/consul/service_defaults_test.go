package consul

import (
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

// protocolOf returns the protocol of a service's service-defaults in the last report, or - if there is no report.
func (p *harness) protocolOf(name string) string {
	service := p.latest(name)
	if len(service.Instances) == 0 {
		return "-"
	}
	return service.Instances[0].ServiceProtocol
}

// entry returns the body of a response with the given protocols by service.
func entry(pairs ...string) string {
	all := []defaultsEntry{}
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, defaultsEntry{Name: pairs[i], Protocol: pairs[i+1]})
	}
	return mustJSON(all)
}

// defaults adds answers for the config entries to the script.
func (s *fakeConsul) defaults(steps ...step) {
	s.steps[defaultsPath] = append(s.steps[defaultsPath], steps...)
}

// TestServiceDefaultsBeforeTheFirstReport verifies that services are reported once, with their protocols, also if the config
// entries are read last.
func TestServiceDefaultsBeforeTheFirstReport(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web", "api")))
	s.service("web", sent(0).says(10, instances("web", "n1/1")))
	s.service("api", sent(0).says(10, instances("api", "n1/2")))
	s.defaults(sent(0).later(5*time.Second).says(10, entry("WEB", "grpc")), sent(10).later(time.Minute).says(12, entry("web", "grpc", "api", "http2")))
	p := s.run(90*time.Second, Options{ServiceDefaults: true})
	if got := p.sink.all(); len(got) != 4 || got[2] != "synced test" || got[3] != "api: n1/2" {
		t.Errorf("the sink got %q", got)
	}
	if web, api := p.protocolOf("web"), p.protocolOf("api"); web != "grpc" || api != "http2" {
		t.Errorf("the protocols are %q and %q", web, api)
	}
	p.logged("level=WARN", 0)
}

// TestServiceDefaultsUnreadable verifies that services are served without config entries that cannot be read, with one line
// in the log, and get their protocols once the entries can be read.
func TestServiceDefaultsUnreadable(t *testing.T) {
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web")))
	s.service("web", sent(0).says(10, instances("web", "n1/1")))
	for range 6 {
		s.defaults(sent(0).later(8*time.Second).fails(403, "Permission denied"))
	}
	s.defaults(sent(0).says(10, entry("web", "grpc")))
	p := s.run(5*time.Minute, Options{ServiceDefaults: true})
	p.told("web: n1/1", "synced test", "web: n1/1")
	if got := p.protocolOf("web"); got != "grpc" {
		t.Errorf("the protocol is %q", got)
	}
	p.logged("Consul query failing", 1)
	p.logged("query=service_defaults", 1)
}

// TestServiceDefaultsAreKept verifies that no error and no reduced response removes a protocol, and that a confirmed removal
// does.
func TestServiceDefaultsAreKept(t *testing.T) {
	for name, steps := range map[string][]step{
		"error":        {sent(10).later(time.Second).fails(500, "no leader"), sent(0).says(11, entry("web", "grpc"))},
		"denied":       {sent(10).later(time.Second).fails(403, "ACL not found"), sent(0).says(11, entry("web", "grpc"))},
		"not JSON":     {sent(10).later(time.Second).says(11, "<html>"), sent(0).says(11, entry("web", "grpc"))},
		"index 1":      {sent(10).later(time.Second).says(1, "[]"), sent(0).says(11, entry("web", "grpc"))},
		"unconfirmed":  {sent(10).later(time.Second).says(11, "[]"), sent(0).says(11, entry("web", "grpc"))},
		"filtered":     {sent(10).later(time.Second).says(11, "[]").filtered(), sent(0).says(11, "[]").filtered()},
		"other entry":  {sent(10).later(time.Second).says(11, entry("web", "grpc", "api", "tcp"))},
		"stale server": {sent(10).later(time.Second).says(11, "[]").with("X-Consul-Knownleader", "false").with("X-Consul-Lastcontact", "60000"), sent(0).says(11, entry("web", "grpc"))},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeConsul(t)
			s.list(sent(0).says(10, names("web")))
			s.service("web", sent(0).says(10, instances("web", "n1/1")))
			s.defaults(append([]step{sent(0).says(10, entry("web", "grpc"))}, steps...)...)
			p := s.run(3*time.Minute, Options{ServiceDefaults: true})
			p.told("web: n1/1", "synced test")
			if got := p.protocolOf("web"); got != "grpc" {
				t.Errorf("the protocol is %q", got)
			}
		})
	}
	t.Run("removal", func(t *testing.T) {
		s := newFakeConsul(t)
		s.list(sent(0).says(10, names("web")))
		s.service("web", sent(0).says(10, instances("web", "n1/1")))
		s.defaults(sent(0).says(10, entry("web", "grpc")), sent(10).later(time.Second).says(11, "[]"), sent(0).says(11, "[]"))
		p := s.run(3*time.Minute, Options{ServiceDefaults: true})
		p.told("web: n1/1", "synced test", "web: n1/1")
		if got := p.protocolOf("web"); got != "" {
			t.Errorf("the protocol is %q", got)
		}
	})
}

// TestServiceDefaultsOfARealConsul verifies that a change of a config entry reaches the services concerned and no others, with
// the documented rights, and that lost rights lose nothing.
func TestServiceDefaultsOfARealConsul(t *testing.T) {
	t.Parallel()
	s := startServer(t, acls(t))
	s.register("n1", "web-1", "web")
	s.register("n1", "api-1", "api")
	s.configure(t, "Web", "gRPC")
	_, secret, policy := s.token(t, "defaults", readAll)
	p := runReal(t, Options{Config: &api.Config{Address: s.Address, Token: secret}, Wait: time.Second, ServiceDefaults: true})
	p.synced(t)
	want := func(web, api string) {
		t.Helper()
		eventually(t, "the protocols", func() bool { return p.protocolOf("web") == web && p.protocolOf("api") == api })
	}
	want("grpc", "")
	s.configure(t, "web", "http2")
	want("http2", "")
	s.configure(t, "api", "tcp")
	want("http2", "tcp")
	p.expect(t, "api", "n1/api-1", "n1/api-1")

	policy.Rules = `node_prefix "" { policy = "read" } service "api" { policy = "read" }`
	if _, _, err := s.api.ACL().PolicyUpdate(policy, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lost right is reported", func() bool { return p.source.failures.Reason(defaultsID) == failure.Filtered })
	s.configure(t, "api", "http")
	want("http2", "http")
	policy.Rules = readAll
	if _, _, err := s.api.ACL().PolicyUpdate(policy, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no query fails", func() bool { return metric(t, p.registry, failingGauge) == 0 })
	if _, err := s.api.ConfigEntries().Delete(api.ServiceDefaults, "web", nil); err != nil {
		t.Fatal(err)
	}
	want("", "http")
	p.logged(`msg="Consul query failing, keeping last known state" source=test reason=filtered`, 1)
}

// TestServiceDefaultsWithoutToken verifies that the anonymous token loses no protocol with its rights, although Consul answers
// it with an unmarked empty list, and that the removal of the last entry counts.
func TestServiceDefaultsWithoutToken(t *testing.T) {
	t.Parallel()
	s := startServer(t, acls(t))
	s.register("n1", "web-1", "web")
	s.configure(t, "web", "grpc")
	const anonymous = "00000000-0000-0000-0000-000000000002"
	policy, _, err := s.api.ACL().PolicyCreate(&api.ACLPolicy{Name: "anonymous", Rules: readAll}, nil)
	if err != nil {
		t.Fatal(err)
	}
	grant := func(policies ...*api.ACLTokenPolicyLink) {
		t.Helper()
		if _, _, err := s.api.ACL().TokenUpdate(&api.ACLToken{AccessorID: anonymous, Policies: policies}, nil); err != nil {
			t.Fatal(err)
		}
	}
	grant(&api.ACLTokenPolicyLink{ID: policy.ID})
	p := runReal(t, Options{Config: &api.Config{Address: s.Address}, Wait: time.Second, ServiceDefaults: true})
	p.synced(t)
	grant()
	eventually(t, "the lost rights are reported", func() bool { return p.source.failures.Reason(defaultsID) == failure.Anonymous })
	if got := p.protocolOf("web"); got != "grpc" {
		t.Errorf("the protocol is %q", got)
	}
	grant(&api.ACLTokenPolicyLink{ID: policy.ID})
	eventually(t, "no query fails", func() bool { return metric(t, p.registry, failingGauge) == 0 })
	if _, err := s.api.ConfigEntries().Delete(api.ServiceDefaults, "web", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removal", func() bool { return p.protocolOf("web") == "" })
}

// TestServiceDefaultsWithoutEntries verifies that a Consul without any config entry is not a failing one, and that the first
// entry is found.
func TestServiceDefaultsWithoutEntries(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	s.register("n1", "web-1", "web")
	p := runReal(t, Options{Config: &api.Config{Address: s.Address}, Wait: time.Second, ServiceDefaults: true})
	p.synced(t)
	s.configure(t, "web", "http2")
	eventually(t, "the protocol", func() bool { return p.protocolOf("web") == "http2" })
	p.logged("level=WARN", 0)
}

// configure writes the service-defaults of a service.
func (s *server) configure(t *testing.T, name, protocol string) {
	t.Helper()
	entry := &api.ServiceConfigEntry{Kind: api.ServiceDefaults, Name: name, Protocol: protocol}
	if _, _, err := s.api.ConfigEntries().Set(entry, nil); err != nil {
		t.Fatal(err)
	}
}
