package consul

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestConsul runs on a real Consul server, with and without the streaming backend. The two modes wake a query, and answer
// it during failures, in different ways.
func TestConsul(t *testing.T) {
	for name, test := range map[string]struct {
		config                string
		connections, services int
	}{
		"streaming":       {``, 0, 0},
		"not streaming":   {notStreaming, 0, 0},
		"few connections": {``, 8, 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, test.config)
			s.connections = test.connections
			s.fill(test.services)
			t.Run("complete state first", s.testWholeContent)
			t.Run("each change is one update", s.testChanges)
			t.Run("maintenance", s.testMaintenance)
			t.Run("added and removed", s.testComesAndGoes)
			t.Run("rename under the same ID", s.testRename)
			t.Run("an ID on two nodes", s.testTwoNodes)
			t.Run("names", s.testNames)
			t.Run("kinds", s.testKinds)
			t.Run("restart", s.testRestart)
			t.Run("restored snapshot", s.testRestore)
		})
	}
}

func (s *server) testWholeContent(t *testing.T) {
	for _, id := range []string{"1", "2", "3"} {
		s.register("n"+id, "whole-"+id, "whole")
		s.register("n"+id, "other-"+id, "other-"+id)
	}
	p := s.watch(t, "", 0)
	told := p.sink.all()
	if told[len(told)-1] != "synced test" || len(told) < 5 {
		t.Errorf("got the updates %q", told)
	}
	p.expect(t, "whole", "n1/whole-1 n2/whole-2 n3/whole-3")
	if own := p.of("consul"); own != nil {
		t.Errorf("got updates of Consul's own service: %q", own)
	}
	if dc := p.latest("whole").Datacenter; dc != "dc1" {
		t.Errorf("got the datacenter %q", dc)
	}
}

func (s *server) testChanges(t *testing.T) {
	var now api.CatalogRegistration
	register := func() {
		s.register("n1", "change-1", "change", func(r *api.CatalogRegistration) {
			r.Service.Address, r.Service.Tags, r.Service.Meta = "10.1.1.1", []string{"a"}, map[string]string{"version": "v1"}
			r.Check = &api.AgentCheck{Node: "n1", CheckID: "c", ServiceID: "change-1", Status: "passing", Type: "http"}
			if now.Service != nil {
				r.Service, r.Check = now.Service, now.Check
			}
			now = *r
		})
	}
	register()
	p := s.watch(t, "", 0)
	first := p.latest("change").Instances[0]
	if first.Health != catalog.Passing || !slices.Equal(first.Checks, []catalog.Check{{Type: "http"}}) {
		t.Errorf("got the first state %+v", first)
	}
	changes := []struct {
		name string
		edit func()
		is   func(i catalog.Instance) bool
	}{
		{"address", func() { now.Service.Address = "10.1.1.2" }, func(i catalog.Instance) bool { return i.Address == "10.1.1.2" }},
		{"port", func() { now.Service.Port = 70000 }, func(i catalog.Instance) bool { return i.Port == 70000 }},
		{"tag", func() { now.Service.Tags = []string{"b"} }, func(i catalog.Instance) bool { return i.Tags[0] == "b" }},
		{
			"meta", func() { now.Service.Meta = map[string]string{"version": "v2"} },
			func(i catalog.Instance) bool { return i.Meta["version"] == "v2" },
		},
		{"weight", func() { now.Service.Weights.Passing = 7 }, func(i catalog.Instance) bool { return i.Weights.Passing == 7 }},
		{"warning", func() { now.Check.Status = "warning" }, func(i catalog.Instance) bool { return i.Health == catalog.Warning }},
		{"critical", func() { now.Check.Status = "critical" }, func(i catalog.Instance) bool { return i.Health == catalog.Critical }},
		{"output", func() { now.Check.Output = "still bad" }, nil},
		{"passing", func() { now.Check.Status = "passing" }, func(i catalog.Instance) bool { return i.Health == catalog.Passing }},
		{"no address", func() { now.Service.Address = "" }, func(i catalog.Instance) bool { return i.Address == "10.0.0.1" }},
	}
	for _, change := range changes {
		change.edit()
		register()
		if change.is != nil {
			eventually(t, change.name, func() bool { return change.is(p.latest("change").Instances[0]) })
		}
	}
	// Each change is one update, and so is the first state. A change of a check's output is none.
	if got := len(p.of("change")); got != len(changes) {
		t.Errorf("%d updates, expected %d", got, len(changes))
	}
	s.deregister("n1", "change-1")
	eventually(t, "the service is gone", func() bool { return len(p.latest("change").Instances) == 0 })
}

func (s *server) testMaintenance(t *testing.T) {
	agent := s.api.Agent()
	registration := &api.AgentServiceRegistration{ID: "kept-1", Name: "kept", Port: 80}
	if err := agent.ServiceRegister(registration); err != nil {
		t.Fatal(err)
	}
	p := s.watch(t, "", 0)
	is := func(what string, want catalog.Health) {
		t.Helper()
		eventually(t, what, func() bool {
			i := p.latest("kept").Instances
			return len(i) == 1 && i[0].Health == want
		})
	}
	is("registered", catalog.Passing)
	for i, step := range []struct {
		do   func() error
		want catalog.Health
	}{
		{func() error { return agent.EnableServiceMaintenance("kept-1", "x") }, catalog.Maintenance},
		{func() error { return agent.DisableServiceMaintenance("kept-1") }, catalog.Passing},
		{func() error { return agent.EnableNodeMaintenance("x") }, catalog.Maintenance},
		{agent.DisableNodeMaintenance, catalog.Passing},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		is(fmt.Sprint("step ", i), step.want)
	}
	if err := agent.ServiceDeregister("kept-1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the service is gone", func() bool { return len(p.latest("kept").Instances) == 0 })
}

func (s *server) testComesAndGoes(t *testing.T) {
	p := s.watch(t, "", 0)
	s.register("n1", "new-1", "new")
	p.expect(t, "new", "n1/new-1")
	s.register("n2", "new-2", "new")
	p.expect(t, "new", "n1/new-1", "n1/new-1 n2/new-2")
	s.deregister("n1", "new-1")
	p.expect(t, "new", "n1/new-1", "n1/new-1 n2/new-2", "n2/new-2")
	s.deregister("n2", "new-2")
	p.expect(t, "new", "n1/new-1", "n1/new-1 n2/new-2", "n2/new-2", "")
	eventually(t, "its watch ends", func() bool { return !p.watches("new") })
	s.register("n1", "new-1", "new")
	p.expect(t, "new", "n1/new-1", "n1/new-1 n2/new-2", "n2/new-2", "", "n1/new-1")
	s.deregister("n1", "new-1")
	p.logged("level=WARN", 0)
}
