package consul

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// acls returns the configuration of a server that rejects every request without a token.
func acls(t *testing.T) string {
	t.Helper()
	return testbed.ConsulACL(t, management)
}

// TestConsulACL runs with and without the streaming backend, because their responses to changed rights differ.
func TestConsulACL(t *testing.T) {
	for name, config := range map[string]string{"streaming": ``, "not streaming": notStreaming} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, config+acls(t))
			s.streaming = config == "" && !testbed.ConsulIs(t).Before(testbed.ConsulEmptyStream)
			s.register("n1", "web-1", "web")
			s.register("n1", "api-1", "api")
			t.Run("no token", s.testNoToken)
			t.Run("unknown token", s.testUnknownToken)
			t.Run("deleted token", s.testDeletedToken)
			t.Run("narrowed token", s.testNarrowedToken)
			t.Run("token for a part", s.testPartialToken)
			t.Run("documented policy", s.testDocumentedPolicy)
			t.Run("half a policy", s.testHalfPolicies)
			t.Run("half a policy is left", s.testHalvedToken)
			t.Run("anonymous token loses its rights", s.testAnonymousLosesItsRights)
			t.Run("rotated token", s.testRotatedToken)
			t.Run("rotation to an unknown token", s.testRotationToAnUnknownToken)
			t.Run("broken token file", s.testBrokenTokenFile)
			t.Run("narrowed while isthmus was down", s.testNarrowedMeanwhile)
		})
	}
}

// token creates a token with its own policy. It returns the token's accessor, its secret and the policy.
func (s *server) token(t *testing.T, name, rules string) (accessor, secret string, policy *api.ACLPolicy) {
	t.Helper()
	policy, _, err := s.api.ACL().PolicyCreate(&api.ACLPolicy{Name: name, Rules: rules}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := s.api.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessorID, token.SecretID, policy
}

const readAll = `node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }`

// trouble waits for a query failure with the reason and checks that the sink got no update since.
func (p *harness) awaitFailure(t *testing.T, reason string, before []string) {
	t.Helper()
	eventually(t, "the failure "+reason, func() bool { return metric(t, p.registry, failingGauge, "reason="+reason) > 0 })
	if after := p.sink.all(); !reflect.DeepEqual(before, after) {
		t.Errorf("got the unexpected updates %q after %q", after[len(before):], before)
	}
	eventually(t, "the log line", func() bool { return strings.Contains(p.log.String(), "reason="+reason) })
	if strings.Contains(p.log.String(), management) {
		t.Error("the log contains a token")
	}
}

func (s *server) testNoToken(t *testing.T) {
	p := runReal(t, Options{Config: &api.Config{Address: s.Address}})
	p.awaitFailure(t, "anonymous", nil)
}

func (s *server) testUnknownToken(t *testing.T) {
	p := runReal(t, Options{Config: &api.Config{Address: s.Address, Token: "00000000-0000-4000-8000-00000000000b"}})
	p.awaitFailure(t, "denied", nil)
	p.logged("ACL not found", 1)
}

func (s *server) testDeletedToken(t *testing.T) {
	accessor, secret, _ := s.token(t, "deleted", readAll)
	p := s.watch(t, secret, time.Second)
	before := p.sink.all()
	if len(before) != 3 {
		t.Errorf("got the updates %q", before)
	}
	if _, err := s.api.ACL().TokenDelete(accessor, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all queries are refused", func() bool {
		return metric(t, p.registry, failingGauge, "reason=denied") == 3
	})
	p.awaitFailure(t, "denied", before)
	// A service that is deregistered while nothing can be read stays.
	s.register("n1", "web-2", "web")
	s.deregister("n1", "web-1")
	p.awaitFailure(t, "denied", before)
	s.register("n1", "web-1", "web")
	s.deregister("n1", "web-2")
	if strings.Contains(p.log.String(), secret) {
		t.Error("the log contains the token")
	}
}

func (s *server) testNarrowedToken(t *testing.T) {
	_, secret, policy := s.token(t, "narrowed", readAll)
	p := s.watch(t, secret, time.Second)
	before := p.sink.all()
	policy.Rules = `node_prefix "" { policy = "read" } service "api" { policy = "read" }`
	if _, _, err := s.api.ACL().PolicyUpdate(policy, nil); err != nil {
		t.Fatal(err)
	}
	p.awaitFailure(t, "filtered", before)
	// The source still follows the services that it can read.
	s.register("n1", "api-2", "api")
	p.expect(t, "api", "n1/api-1", "n1/api-1 n1/api-2")
	p.expect(t, "web", "n1/web-1")
	s.deregister("n1", "api-2")
	p.expect(t, "api", "n1/api-1", "n1/api-1 n1/api-2", "n1/api-1")
	p.trapped(t, "index_unchanged", "index_backwards")
}

func (s *server) testPartialToken(t *testing.T) {
	_, secret, _ := s.token(t, "partial", `node_prefix "" { policy = "read" } service "api" { policy = "read" }`)
	p := s.watch(t, secret, 0)
	p.told("api: n1/api-1", "synced test partly")
	s.deregister("n1", "api-1")
	p.expect(t, "api", "n1/api-1", "")
	s.register("n1", "api-1", "api")
	p.expect(t, "api", "n1/api-1", "", "n1/api-1")
	p.logged("level=WARN", 1)
}
