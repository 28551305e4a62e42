package consul

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// A server is a real Consul server whose state is on disk, so that it can be killed and started again.
type server struct {
	*testbed.Consul
	t *testing.T
	// api may do everything.
	api *api.Client
	// streaming says that it serves polls from its streaming backend.
	streaming bool
	// connections are those of the sources that watch it; 0 for the default.
	connections int
}

// management is the token that may do everything, where ACLs are on.
const management = "4f7d5c0e-0000-4000-8000-000000000001"

// quick has servers elect, and give up the search for a leader, sooner than they would.
const quick = `performance {
	raft_multiplier = 1
	rpc_hold_timeout = "2s"
}
`

// startServer starts Consul with further configuration.
func startServer(t *testing.T, hcl string) *server {
	t.Helper()
	testbed.Require(t, testbed.ConsulBinary)
	return startServerIn(t, testbed.ForTest(t), hcl)
}

// startServerIn starts Consul in a run that may have other servers.
func startServerIn(t *testing.T, run *testbed.Run, hcl string) *server {
	t.Helper()
	consul, err := run.StartConsul(t.Context(), testbed.ConsulOptions{
		Persistent: true, Token: management, HCL: quick + hcl,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &server{Consul: consul, t: t, api: consul.Client()}
}

// register puts a service into the catalog as an external program does; edit changes it first.
func (s *server) register(node, id, name string, edit ...func(*api.CatalogRegistration)) {
	s.t.Helper()
	r := &api.CatalogRegistration{
		Node: node, Address: "10.0.0.1",
		Service: &api.AgentService{ID: id, Service: name, Port: 80, Weights: api.AgentWeights{Passing: 1, Warning: 1}},
	}
	for _, f := range edit {
		f(r)
	}
	if _, err := s.api.Catalog().Register(r, nil); err != nil {
		s.t.Fatalf("registering %q: %v", name, err)
	}
}

func (s *server) deregister(node, id string) {
	s.t.Helper()
	if _, err := s.api.Catalog().Deregister(&api.CatalogDeregistration{Node: node, ServiceID: id}, nil); err != nil {
		s.t.Fatal(err)
	}
}

// watch runs a source on the server and waits for the whole content.
func (s *server) watch(t *testing.T, token string, wait time.Duration) *play {
	t.Helper()
	p := runReal(t, Options{Config: &api.Config{Address: s.Address, Token: token}, Wait: wait, Connections: s.connections})
	p.synced(t)
	return p
}

// of returns what was told of one service, in order.
func (p *play) of(name string) []string {
	var told []string
	for _, line := range p.sink.all() {
		if instances, ok := strings.CutPrefix(line, name+":"); ok {
			told = append(told, strings.TrimSpace(instances))
		}
	}
	return told
}

// latest returns the state of a service that was told last.
func (p *play) latest(name string) catalog.Service {
	p.sink.mu.Lock()
	defer p.sink.mu.Unlock()
	return p.sink.latest[name]
}

// expect waits until exactly these states of the service were told.
func (p *play) expect(t *testing.T, name string, want ...string) {
	t.Helper()
	defer func() {
		if got := p.of(name); t.Failed() || !slices.Equal(got, want) {
			t.Errorf("%q was told as %q, expected %q", name, got, want)
		}
	}()
	eventually(t, "the updates of "+name, func() bool { return len(p.of(name)) >= len(want) })
}

// trapped checks that Consul has given an answer that was discarded for one of the reasons: that a test has met the trap
// that it is about.
func (p *play) trapped(t *testing.T, reasons ...string) {
	t.Helper()
	met := func(r string) bool { return metric(t, p.registry, discardedTotal, "reason="+r) > 0 }
	if !slices.ContainsFunc(reasons, met) {
		t.Errorf("no answer was discarded for %q", reasons)
	}
}

func (p *play) watches(name string) bool {
	p.source.mu.Lock()
	defer p.source.mu.Unlock()
	return p.source.services[name] != nil
}

// fill registers services that nothing happens to, each with an instance of its own on a few nodes.
func (s *server) fill(services int) {
	s.t.Helper()
	for i := range services {
		s.register(fmt.Sprintf("fill-%d", i%7), fmt.Sprintf("fill-%03d-1", i), fmt.Sprintf("fill-%03d", i))
	}
}
