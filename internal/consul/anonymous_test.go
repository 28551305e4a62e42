package consul

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// grant gives the anonymous token the rights of the policies.
func (s *server) grant(t *testing.T, policies ...*api.ACLTokenPolicyLink) {
	t.Helper()
	token := &api.ACLToken{AccessorID: "00000000-0000-0000-0000-000000000002", Policies: policies}
	if _, _, err := s.api.ACL().TokenUpdate(token, nil); err != nil {
		t.Fatal(err)
	}
}

// isNobody waits for the refusal of the list and starts reads of the services. It checks that these are refused too and
// that the sink got no further update.
func (p *harness) isAnonymous(t *testing.T, before []string) {
	t.Helper()
	refused := func(queries float64) func() bool {
		return func() bool { return metric(t, p.registry, failingGauge, "reason=anonymous") >= queries }
	}
	eventually(t, "the list is refused", refused(1))
	p.source.mu.Lock()
	for _, w := range p.source.services {
		w.Refresh()
	}
	p.source.mu.Unlock()
	eventually(t, "the service is refused", refused(2))
	if after := p.sink.all(); !slices.Equal(before, after) {
		t.Errorf("got the unexpected updates %q after %q", after[len(before):], before)
	}
}

// TestAnonymousTokenBehindAClientAgent removes the rights of the anonymous token behind an agent without ACL configuration.
// The answers of such an agent don't report the default policy "deny".
func TestAnonymousTokenBehindAClientAgent(t *testing.T) {
	t.Parallel()
	testbed.Require(t, testbed.ConsulBinary)
	run := testbed.ForTest(t)
	s := startServerIn(t, run, acls(t))
	s.register("n1", "web-1", "web")
	_, _, policy := s.token(t, "everybody", readAll)
	s.grant(t, &api.ACLTokenPolicyLink{ID: policy.ID})
	agent := start(t, run, testbed.ConsulOptions{Name: "client", Client: true, Join: s.Consul})
	if _, meta, err := agent.Client().Catalog().Services(nil); err != nil || meta.DefaultACLPolicy == "deny" {
		t.Fatalf("the agent reports the default policy %q (%v), expected none", meta.DefaultACLPolicy, err)
	}
	p := runReal(t, Options{Config: &api.Config{Address: agent.Address}, Wait: time.Second})
	p.synced(t)
	before := p.sink.all()
	s.grant(t)
	p.isAnonymous(t, before)
	s.grant(t, &api.ACLTokenPolicyLink{ID: policy.ID})
	s.deregister("n1", "web-1")
	p.source.list.Refresh()
	eventually(t, "the removed service leaves", func() bool { return len(p.latest("web").Instances) == 0 })
}

// TestTokenOfAnotherDatacenter rotates to a token that is local to the agent's datacenter. The agent drops such a token
// when it forwards a request to the datacenter that the source reads.
func TestTokenOfAnotherDatacenter(t *testing.T) {
	t.Parallel()
	testbed.Require(t, testbed.ConsulBinary)
	run := testbed.ForTest(t)
	far := startServerIn(t, run, acls(t))
	far.register("n1", "web-1", "web")
	near := start(t, run, testbed.ConsulOptions{
		Name: "near", Datacenter: "dc2", Persistent: true, JoinWAN: far.Consul, Token: management, HCL: `
		primary_datacenter = "dc1"
		acl {
			enabled = true
			default_policy = "deny"
			enable_token_replication = true
			tokens { agent = "` + management + `", replication = "` + management + `" }
		}`,
	})
	_, global, policy := far.token(t, "both", readAll)
	var local *api.ACLToken
	eventually(t, "a local token", func() bool {
		var err error
		local, _, err = near.Client().ACL().TokenCreate(&api.ACLToken{
			Local: true, Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}},
		}, nil)
		return err == nil
	})
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, global)
	p := runReal(t, Options{
		Config: &api.Config{Address: near.Address, TokenFile: file}, Datacenter: "dc1", Wait: time.Second, pollFiles: soon,
	})
	p.synced(t)
	before := p.sink.all()
	write(t, file, local.SecretID)
	p.isAnonymous(t, before)
	write(t, file, global)
	eventually(t, "all queries work again", func() bool { return metric(t, p.registry, failingGauge) == 0 })
}
