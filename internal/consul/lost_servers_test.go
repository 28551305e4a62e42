package consul

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// start starts a further agent.
func start(t *testing.T, run *testbed.Run, options testbed.ConsulOptions) *testbed.Consul {
	t.Helper()
	options.HCL = quick + options.HCL
	agent, err := run.StartConsul(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return agent
}

// weathers causes a failure and repairs it. It checks that the source reports the failure, that the sink gets no update
// during it, and that the sink gets changes again afterwards. The service "lasting" has the instances n1/lasting-1 to
// n3/lasting-3.
func (p *harness) weathers(t *testing.T, s *server, breaks, mends func(), reasons ...string) {
	t.Helper()
	before := p.sink.all()
	breaks()
	eventually(t, "the failure is reported", func() bool {
		return slices.ContainsFunc(reasons, func(r string) bool { return metric(t, p.registry, failingGauge, "reason="+r) > 0 })
	})
	mends()
	eventually(t, "all queries work again", func() bool { return metric(t, p.registry, failingGauge) == 0 })
	if after := p.sink.all(); !slices.Equal(before, after) {
		t.Errorf("got the updates %q after %q", after, before)
	}
	s.register("n4", "lasting-4", "lasting")
	p.expect(t, "lasting", lasting, lasting+" n4/lasting-4")
	told := 0
	for _, reason := range reasons {
		told += strings.Count(p.log.String(), "reason="+reason+" query=")
	}
	if told == 0 || told > 2 {
		t.Errorf("got %d log lines with the reasons %q", told, reasons)
	}
	p.logged("level=WARN", told)
}

const lasting = "n1/lasting-1 n2/lasting-2 n3/lasting-3"

func (s *server) registerLasting() {
	s.t.Helper()
	for _, id := range []string{"1", "2", "3"} {
		s.register("n"+id, "lasting-"+id, "lasting")
	}
}

func restart(t *testing.T, agent *testbed.Consul) func() {
	return func() {
		t.Helper()
		if err := agent.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClientAgentLosesItsServers cuts a client agent off its servers. Such an agent answers the queries of the streaming
// backend with status 200, an empty body and index 1.
func TestClientAgentLosesItsServers(t *testing.T) {
	t.Parallel()
	testbed.Require(t, testbed.ConsulBinary)
	run := testbed.ForTest(t)
	s := startServerIn(t, run, "")
	s.registerLasting()
	agent := start(t, run, testbed.ConsulOptions{Name: "client", Client: true, Join: s.Consul})
	p := runReal(t, Options{Config: &api.Config{Address: agent.Address}, Wait: 300 * time.Millisecond})
	p.synced(t)
	p.weathers(t, s, s.Kill, restart(t, s.Consul), "server_error", "index_uninitialized")
}

// TestServerWithoutALeader stops the other half of a cluster. The remaining server has no leader.
func TestServerWithoutALeader(t *testing.T) {
	t.Parallel()
	testbed.Require(t, testbed.ConsulBinary)
	run := testbed.ForTest(t)
	s := startServerIn(t, run, `autopilot { server_stabilization_time = "100ms" }`)
	other := start(t, run, testbed.ConsulOptions{Name: "other", Persistent: true, Join: s.Consul})
	eventually(t, "the other server votes", func() bool {
		raft, err := s.api.Operator().RaftGetConfiguration(nil)
		return err == nil && len(raft.Servers) == 2 && raft.Servers[0].Voter && raft.Servers[1].Voter
	})
	s.registerLasting()
	p := s.watch(t, "", 300*time.Millisecond)
	// The held query shows the loss of the leader. A new read is refused.
	p.weathers(t, s, other.Kill, restart(t, other), "server_error", "stale_server")
	if !strings.Contains(p.log.String(), "have a leader") {
		t.Errorf("the log has no hint about the leader:\n%s", p.log)
	}
}

// TestServerFreezes stops the process. It keeps its connections and answers no request.
func TestServerFreezes(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	s.registerLasting()
	p := s.watch(t, "", 300*time.Millisecond)
	signal := func(signal syscall.Signal) func() {
		return func() {
			t.Helper()
			if err := s.Signal(signal); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.weathers(t, s, signal(syscall.SIGSTOP), signal(syscall.SIGCONT), "timeout")
}

// TestRemoteDatacenterDies queries the agent of one datacenter about another datacenter, which then dies.
func TestRemoteDatacenterDies(t *testing.T) {
	t.Parallel()
	testbed.Require(t, testbed.ConsulBinary)
	run := testbed.ForTest(t)
	near := start(t, run, testbed.ConsulOptions{Name: "near", Persistent: true})
	far := start(t, run, testbed.ConsulOptions{Name: "far", Datacenter: "dc2", Persistent: true, JoinWAN: near})
	s := &server{Consul: far, t: t, api: far.Client()}
	s.registerLasting()
	p := runReal(t, Options{
		Config: &api.Config{Address: near.Address}, Datacenter: "dc2", Wait: 300 * time.Millisecond,
	})
	p.synced(t)
	if dc := p.latest("lasting").Datacenter; dc != "dc2" {
		t.Errorf("got the datacenter %q", dc)
	}
	p.weathers(t, s, far.Kill, restart(t, far), "server_error", "index_uninitialized")
}
