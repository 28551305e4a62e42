package consul

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// documentedPolicy returns the rules of the policy in the installation page, one rule per element.
func documentedPolicy(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatal("docs/install.md has no policy")
	}
	return strings.Split(strings.TrimSpace(string(found[1])), "\n")
}

func (s *server) testDocumentedPolicy(t *testing.T) {
	rules := documentedPolicy(t)
	if len(rules) != 2 {
		t.Fatalf("got the policy %q, expected two rules", rules)
	}
	accessor, secret, _ := s.token(t, "documented", strings.Join(rules, "\n"))
	p := s.watch(t, secret, time.Second)
	p.expect(t, "web", "n1/web-1")
	p.expect(t, "api", "n1/api-1")
	s.register("n2", "web-2", "web")
	p.expect(t, "web", "n1/web-1", "n1/web-1 n2/web-2")
	s.deregister("n2", "web-2")
	p.expect(t, "web", "n1/web-1", "n1/web-1 n2/web-2", "n1/web-1")
	p.logged("level=WARN", 0)
	p.logged("ACL token is valid", 1)
	p.logged("accessor="+accessor, 1)
	p.logged(secret, 0)
}

// testHalfPolicies verifies that one half of the policy shows no service, and that the log names the missing half.
func (s *server) testHalfPolicies(t *testing.T) {
	rules := documentedPolicy(t)
	for i, half := range []string{"nodes alone", "services alone"} {
		t.Run(half, func(t *testing.T) {
			_, secret, _ := s.token(t, "half-"+string(rune('a'+i)), rules[i])
			p := runReal(t, Options{Config: &api.Config{Address: s.Address, Token: secret}})
			if half == "services alone" && testbed.ConsulIs(t).Before(testbed.ConsulListNeedsNodes) {
				p.showsNamesOnly(t)
				return
			}
			p.awaitFailure(t, "filtered", nil)
			missing, _, _ := strings.Cut(rules[1-i], " ")
			p.logged("error=\"the token cannot read every "+strings.TrimSuffix(missing, "_prefix")+": "+missing, 1)
			p.logged("hint=\"use a token with", 1)
			p.logged("level=WARN", 1)
		})
	}
}

// showsNamesOnly checks the state if a Consul lists services on nodes that the token cannot read: nothing is known about
// them, and a failure is reported.
func (p *harness) showsNamesOnly(t *testing.T) {
	t.Helper()
	p.expect(t, "api", "partly")
	p.expect(t, "web", "partly")
	p.synced(t)
	p.awaitFailure(t, "filtered", p.sink.all())
	p.logged("hint=\"use a token with", 1)
}

// testHalvedToken verifies that services stay when their token loses one half of the policy, for each half.
func (s *server) testHalvedToken(t *testing.T) {
	rules := documentedPolicy(t)
	for i, half := range []string{"to nodes", "to services"} {
		t.Run(half, func(t *testing.T) {
			_, secret, policy := s.token(t, "halved-"+string(rune('a'+i)), readAll)
			p := s.watch(t, secret, time.Second)
			before := p.sink.all()
			policy.Rules = rules[i]
			if _, _, err := s.api.ACL().PolicyUpdate(policy, nil); err != nil {
				t.Fatal(err)
			}
			// A poll that Consul holds keeps its previous rights: the poll of the list must be over.
			// An old Consul lists the services of nodes that the token cannot read, so its list does not fail.
			listed := half == "to services" && testbed.ConsulIs(t).Before(testbed.ConsulListNeedsNodes)
			if !listed {
				eventually(t, "the list fails", func() bool { return p.source.failures.Failing(listID) })
			}
			if !listed {
				s.register("n2", "other", "other") // wakes the query of the list
				defer s.deregister("n2", "other")
			}
			p.awaitFailure(t, "filtered", before)
			if !listed {
				p.trapped(t, "index_unchanged", "index_backwards")
			}
			policy.Rules = readAll
			if _, _, err := s.api.ACL().PolicyUpdate(policy, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// testAnonymousLosesItsRights verifies that services stay when the anonymous token loses its rights.
func (s *server) testAnonymousLosesItsRights(t *testing.T) {
	policy, _, err := s.api.ACL().PolicyCreate(&api.ACLPolicy{Name: "anonymous", Rules: readAll}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.grant(t, &api.ACLTokenPolicyLink{ID: policy.ID})
	p := s.watch(t, "", time.Second)
	before := p.sink.all()
	s.grant(t)
	p.awaitFailure(t, "anonymous", before)
	p.logged("reason=anonymous", 1)
	p.trapped(t, "index_unchanged", "index_backwards")
	p.trapped(t, "anonymous")
	p.logged("a client without rights", 1) // logged for the list or for a service, whichever fails first
}
