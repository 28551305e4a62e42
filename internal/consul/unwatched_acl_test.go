package consul

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// TestUnwatchedServicesACL removes rights from sources whose services are mostly unwatched.
func TestUnwatchedServicesACL(t *testing.T) {
	t.Parallel()
	s := startServer(t, acls(t))
	s.fill(unwatchedServices)
	for _, connections := range []int{8, 24} { // with 24 connections, each node is watched
		s.connections = connections
		t.Run(fmt.Sprint("documented policy, ", connections, " connections"), s.testUnwatchedPolicy)
		t.Run(fmt.Sprint("deleted token, ", connections, " connections"), s.testUnwatchedDeleted)
		t.Run(fmt.Sprint("narrowed token, ", connections, " connections"), s.testUnwatchedNarrowed)
	}
}

// watchUnwatched runs a source whose services have no poll. The source has its own token in a file.
func (s *server) watchUnwatched(t *testing.T, rules string) (p *harness, accessor, file string, policy *api.ACLPolicy) {
	t.Helper()
	accessor, secret, policy := s.token(t, strings.NewReplacer("/", "-", ",", "", " ", "-").Replace(t.Name()), rules)
	file = filepath.Join(t.TempDir(), "token")
	write(t, file, secret)
	p = runReal(t, Options{
		Config:      &api.Config{Address: s.Address, TokenFile: file},
		Connections: s.connections, Wait: time.Second, verifyAfter: time.Second, pollFiles: soon,
	})
	eventually(t, "the first scan is over", func() bool { return p.settled(unwatchedServices) })
	p.source.detector.DemoteAll()
	return p, accessor, file, policy
}

func (s *server) testUnwatchedPolicy(t *testing.T) {
	p, _, _, _ := s.watchUnwatched(t, strings.Join(documentedPolicy(t), "\n"))
	port := 1000 + s.connections
	s.register("fill-3", "fill-010-1", "fill-010", func(r *api.CatalogRegistration) { r.Service.Port = port })
	eventually(t, "a port", func() bool { return p.latest("fill-010").Instances[0].Port == port })
	checked("critical", "x")(s, "fill-4", "fill-011-1", "fill-011")
	eventually(t, "a critical check", func() bool { return p.latest("fill-011").Instances[0].Health.String() == "critical" })
	checked("passing", "x")(s, "fill-4", "fill-011-1", "fill-011")
	eventually(t, "a passing check", func() bool { return p.latest("fill-011").Instances[0].Health.String() == "passing" })
	p.logged("level=WARN", 0)
}

func (s *server) testUnwatchedDeleted(t *testing.T) {
	p, accessor, file, _ := s.watchUnwatched(t, readAll)
	before := p.sink.all()
	if _, err := s.api.ACL().TokenDelete(accessor, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the list is refused", func() bool { return p.source.failures.Failing("") })
	s.deregister("fill-3", "fill-010-1")
	defer s.register("fill-3", "fill-010-1", "fill-010")
	p.awaitFailure(t, "denied", before)
	p.logged("level=WARN", 1)
	refused := func() (all []string) {
		for _, holder := range []string{"/critical checks", "/warning checks", "/nodes", "/scan"} {
			if p.source.failures.Failing(holder) {
				all = append(all, holder)
			}
		}
		return all
	}
	eventually(t, "the watches are refused", func() bool { return len(refused()) >= 3 })
	_, secret, _ := s.token(t, fmt.Sprint("again-", s.connections), readAll)
	write(t, file, secret)
	if !within(10*time.Second, func() bool { return len(refused()) == 0 }) {
		t.Errorf("queries still fail with another token: %q", refused())
	}
	eventually(t, "the service that left meanwhile", func() bool { return len(p.latest("fill-010").Instances) == 0 })
}

// testUnwatchedNarrowed verifies that a service that can't be read any more stays, and that the source follows the services
// that it can still read.
func (s *server) testUnwatchedNarrowed(t *testing.T) {
	p, _, _, policy := s.watchUnwatched(t, readAll)
	before := p.sink.all()
	policy.Rules = `node_prefix "" { policy = "read" } service "fill-011" { policy = "read" }`
	if _, _, err := s.api.ACL().PolicyUpdate(policy, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failure is reported", func() bool { return metric(t, p.registry, failingGauge, "reason=filtered") > 0 })
	s.register("fill-4", "fill-011-2", "fill-011")
	eventually(t, "the readable service", func() bool { return len(p.latest("fill-011").Instances) == 2 })
	s.deregister("fill-4", "fill-011-2")
	eventually(t, "the removed service", func() bool { return len(p.latest("fill-011").Instances) == 1 })
	if after := p.sink.all(); len(after) != len(before)+2 {
		t.Errorf("got the unexpected updates %q", after[len(before):])
	}
}
