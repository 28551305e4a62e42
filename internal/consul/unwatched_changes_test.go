package consul

import (
	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// unwatchedChange changes the plain instance "node/id" of a service and reports when the change is seen.
type unwatchedChange struct {
	name string
	make func(s *server, node, id, service string)
	seen func(now catalog.Service) bool
}

func is(holds func(i catalog.Instance) bool) func(catalog.Service) bool {
	return func(now catalog.Service) bool { return len(now.Instances) == 1 && holds(now.Instances[0]) }
}

func edited(edit func(r *api.CatalogRegistration)) func(s *server, node, id, service string) {
	return func(s *server, node, id, service string) { s.register(node, id, service, edit) }
}

func checked(status, id string) func(s *server, node, id, service string) {
	return func(s *server, node, service, _ string) {
		s.t.Helper()
		if id == "" {
			service = ""
		}
		_, err := s.api.Catalog().Register(&api.CatalogRegistration{
			Node: node, Address: "10.0.0.1", SkipNodeUpdate: true,
			Check: &api.AgentCheck{Node: node, CheckID: "check" + service, ServiceID: service, Status: status, Type: "http"},
		}, nil)
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

var unwatchedChanges = []unwatchedChange{
	{
		"address", edited(func(r *api.CatalogRegistration) { r.Service.Address = "10.9.9.9" }),
		is(func(i catalog.Instance) bool { return i.Address == "10.9.9.9" }),
	},
	{
		"port", edited(func(r *api.CatalogRegistration) { r.Service.Port = 99 }),
		is(func(i catalog.Instance) bool { return i.Port == 99 }),
	},
	{
		"meta", edited(func(r *api.CatalogRegistration) { r.Service.Meta = map[string]string{"a": "b"} }),
		is(func(i catalog.Instance) bool { return i.Meta["a"] == "b" }),
	},
	{
		"tag", edited(func(r *api.CatalogRegistration) { r.Service.Tags = []string{"new"} }),
		is(func(i catalog.Instance) bool { return len(i.Tags) == 1 }),
	},
	{"critical check", checked("critical", "x"), is(func(i catalog.Instance) bool { return i.Health == catalog.Critical })},
	{"warning check", checked("warning", "x"), is(func(i catalog.Instance) bool { return i.Health == catalog.Warning })},
	{"critical node", checked("critical", ""), is(func(i catalog.Instance) bool { return i.Health == catalog.Critical })},
	{"passing node", checked("passing", ""), is(func(i catalog.Instance) bool { return i.Health == catalog.Passing })},
	{
		"second instance", func(s *server, _, id, service string) { s.register("unwatched-more", id+"-more", service) },
		func(now catalog.Service) bool { return len(now.Instances) == 2 },
	},
	{
		"deregistration", func(s *server, node, id, _ string) { s.deregister(node, id) },
		func(now catalog.Service) bool { return len(now.Instances) == 0 },
	},
	{
		"rename to a known service",
		func(s *server, node, id, _ string) { s.register(node, id, "fill-001") },
		func(now catalog.Service) bool { return len(now.Instances) == 0 },
	},
	{
		"node address",
		func(s *server, node, id, service string) {
			s.register(node, id, service, func(r *api.CatalogRegistration) { r.Address = "10.8.8.8" })
		},
		is(func(i catalog.Instance) bool { return i.Address == "10.8.8.8" }),
	},
	{
		"node meta",
		func(s *server, node, _, _ string) {
			_, err := s.api.Catalog().Register(&api.CatalogRegistration{
				Node: node, Address: "10.0.0.1", NodeMeta: map[string]string{"zone": "z"},
			}, nil)
			if err != nil {
				s.t.Fatal(err)
			}
		},
		is(func(i catalog.Instance) bool { return i.NodeMeta["zone"] == "z" }),
	},
	{
		"node gone",
		func(s *server, node, _, _ string) { s.deregister(node, "") },
		func(now catalog.Service) bool { return len(now.Instances) == 0 },
	},
}
