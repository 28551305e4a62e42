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

// server is a real Consul server with its state on disk. A test can kill it and start it again.
type server struct {
	*testbed.Consul
	t *testing.T
	// api is a client with all rights.
	api *api.Client
	// streaming reports whether the streaming backend of the server answers a poll with an unknown token.
	streaming bool
	// connections is the connection limit of the sources that watch the server. 0 means the default.
	connections int
}

// management is the token with all rights on servers with ACLs.
const management = "4f7d5c0e-0000-4000-8000-000000000001"

// quick makes servers elect a leader, and give up the search for one, sooner than by default.
const quick = `performance {
	raft_multiplier = 1
	rpc_hold_timeout = "2s"
}
`

// notStreaming is the configuration of a server without the streaming backend.
const notStreaming = "use_streaming_backend = false\n"

// startServer starts Consul with additional configuration.
func startServer(t *testing.T, hcl string) *server {
	t.Helper()
	testbed.Require(t, testbed.ConsulBinary)
	return startServerIn(t, testbed.ForTest(t), hcl)
}

// startServerIn starts Consul in a run that can contain other servers.
func startServerIn(t *testing.T, run *testbed.Run, hcl string) *server {
	t.Helper()
	if strings.Contains(hcl, notStreaming) {
		testbed.RequireConsul(t, testbed.ConsulStreaming, "streaming backend to switch off")
	}
	consul, err := run.StartConsul(t.Context(), testbed.ConsulOptions{
		Persistent: true, Token: management, HCL: quick + hcl,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &server{Consul: consul, t: t, api: consul.Client()}
}

// awaitOwnNode waits until the agent has registered its own node completely. It adds the addresses and the meta of the node
// by its anti-entropy sync, seconds after the start on a busy machine. That change wakes the watches of nodes, so a test that
// counts responses must not overlap with it.
func (s *server) awaitOwnNode() {
	s.t.Helper()
	eventually(s.t, "the agent has registered its node", func() bool {
		nodes, _, err := s.api.Catalog().Nodes(&api.QueryOptions{Filter: `"consul-network-segment" in Meta`})
		return err == nil && len(nodes) == 1
	})
}

// register adds a service to the catalog like an external program. edit changes the registration first.
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

// watch runs a source on the server and waits for the complete state.
func (s *server) watch(t *testing.T, token string, wait time.Duration) *harness {
	t.Helper()
	p := runReal(t, Options{Config: &api.Config{Address: s.Address, Token: token}, Wait: wait, Connections: s.connections})
	p.synced(t)
	return p
}

// of returns the updates of one service in order.
func (p *harness) of(name string) []string {
	var told []string
	for _, line := range p.sink.all() {
		if instances, ok := strings.CutPrefix(line, name+":"); ok {
			told = append(told, strings.TrimSpace(instances))
		}
	}
	return told
}

// latest returns the last state of a service that the sink got.
func (p *harness) latest(name string) catalog.Service {
	p.sink.mu.Lock()
	defer p.sink.mu.Unlock()
	return p.sink.latest[name]
}

// expect waits until the sink got exactly these states of the service.
func (p *harness) expect(t *testing.T, name string, want ...string) {
	t.Helper()
	defer func() {
		if got := p.of(name); t.Failed() || !slices.Equal(got, want) {
			t.Errorf("got the updates of %q as %q, expected %q", name, got, want)
		}
	}()
	eventually(t, "the updates of "+name, func() bool { return len(p.of(name)) >= len(want) })
}

// trapped checks that the source has discarded an answer of Consul for one of the reasons. This proves that the test has
// reached the condition it tests.
func (p *harness) trapped(t *testing.T, reasons ...string) {
	t.Helper()
	met := func(r string) bool { return metric(t, p.registry, discardedTotal, "reason="+r) > 0 }
	if !slices.ContainsFunc(reasons, met) {
		t.Errorf("no answer was discarded for %q", reasons)
	}
}

func (p *harness) watches(name string) bool {
	p.source.mu.Lock()
	defer p.source.mu.Unlock()
	return p.source.services[name] != nil
}

// fill registers services without further changes. Each has its own instance on one of a few nodes.
func (s *server) fill(services int) {
	s.t.Helper()
	for i := range services {
		s.register(fmt.Sprintf("fill-%d", i%7), fmt.Sprintf("fill-%03d-1", i), fmt.Sprintf("fill-%03d", i))
	}
}
