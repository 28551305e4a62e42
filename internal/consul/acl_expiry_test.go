package consul

import (
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// TestExpiredTokenRemovesNothing verifies that the expiry of the token removes no service. Consul's minimum lifetime of
// a token is one minute. The name of this file makes this test start first, so it waits while the other tests run.
func TestExpiredTokenRemovesNothing(t *testing.T) {
	s := startServer(t, acls(t))
	s.register("n1", "web-1", "web")
	policy, _, err := s.api.ACL().PolicyCreate(&api.ACLPolicy{Name: "read", Rules: readAll}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := s.api.ACL().TokenCreate(&api.ACLToken{
		Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}}, ExpirationTTL: time.Minute,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := s.watch(t, token.SecretID, time.Second)
	before := p.sink.all()
	p.logged("expires="+token.ExpirationTime.UTC().Format(time.RFC3339), 1)
	t.Parallel()
	if !within(2*time.Minute, func() bool { return metric(t, p.registry, failingGauge, "reason=denied") == 2 }) {
		t.Fatal("the token has no expiration time")
	}
	s.deregister("n1", "web-1")
	p.awaitFailure(t, "denied", before)
	p.logged("ACL not found", 1)
	p.logged("level=WARN", 1)
	p.logged(token.SecretID, 0)
}
