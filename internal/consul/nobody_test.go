package consul

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// grant lets nobody's token read as much as the policies say.
func (s *server) grant(t *testing.T, policies ...*api.ACLTokenPolicyLink) {
	t.Helper()
	token := &api.ACLToken{AccessorID: "00000000-0000-0000-0000-000000000002", Policies: policies}
	if _, _, err := s.api.ACL().TokenUpdate(token, nil); err != nil {
		t.Fatal(err)
	}
}

// isNobody waits for the list to be refused, has the services read, and checks that these are refused too and that nothing
// more was told.
func (p *play) isNobody(t *testing.T, before []string) {
	t.Helper()
	refused := func(queries float64) func() bool {
		return func() bool { return metric(t, p.registry, troubleGauge, "reason=anonymous") >= queries }
	}
	eventually(t, "the list is refused", refused(1))
	p.source.mu.Lock()
	for _, w := range p.source.services {
		w.Refresh()
	}
	p.source.mu.Unlock()
	eventually(t, "the service is refused", refused(2))
	if after := p.sink.all(); !slices.Equal(before, after) {
		t.Errorf("told %q after %q", after[len(before):], before)
	}
}

// TestNobodyBehindAClientAgent takes the rights of nobody's token away behind an agent that knows of no ACLs itself, so
// that its answers don't say that the policy is to deny.
func TestNobodyBehindAClientAgent(t *testing.T) {
	t.Parallel()
	testbed.Require(t, testbed.ConsulBinary)
	run := testbed.ForTest(t)
	s := startServerIn(t, run, acls)
	s.register("n1", "web-1", "web")
	_, _, policy := s.token(t, "everybody", readAll)
	s.grant(t, &api.ACLTokenPolicyLink{ID: policy.ID})
	agent := start(t, run, testbed.ConsulOptions{Name: "client", Client: true, Join: s.Consul})
	if _, meta, err := agent.Client().Catalog().Services(nil); err != nil || meta.DefaultACLPolicy == "deny" {
		t.Fatalf("the agent knows the policy %q (%v)", meta.DefaultACLPolicy, err)
	}
	p := runReal(t, Options{Config: &api.Config{Address: agent.Address}, Wait: time.Second})
	p.synced(t)
	before := p.sink.all()
	s.grant(t)
	p.isNobody(t, before)
	s.grant(t, &api.ACLTokenPolicyLink{ID: policy.ID})
	s.deregister("n1", "web-1")
	p.source.list.Refresh()
	eventually(t, "what is gone leaves", func() bool { return len(p.latest("web").Instances) == 0 })
}

// TestTokenOfAnotherDatacenter rotates to a token that is local to the agent's datacenter, so that the agent drops it on
// the way to the one that is read.
func TestTokenOfAnotherDatacenter(t *testing.T) {
	t.Parallel()
	testbed.Require(t, testbed.ConsulBinary)
	run := testbed.ForTest(t)
	far := startServerIn(t, run, acls)
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
	p.isNobody(t, before)
	write(t, file, global)
	eventually(t, "all is well", func() bool { return metric(t, p.registry, troubleGauge) == 0 })
}
