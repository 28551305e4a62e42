package mesh_test

import (
	"slices"
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// TestUnderDomain verifies that only whole labels match.
func TestUnderDomain(t *testing.T) {
	for _, test := range []struct {
		host, domain string
		want         bool
	}{
		{"cluster.local", "cluster.local", true},
		{"web.default.svc.cluster.local", "cluster.local", true},
		{"mycluster.local", "cluster.local", false},
		{"local", "cluster.local", false},
		{"web", "", false},
	} {
		if got := mesh.UnderDomain(test.host, test.domain); got != test.want {
			t.Errorf("%q under %q: %t", test.host, test.domain, got)
		}
	}
}

// TestHostsOfConsul verifies that no service gets a name that Consul's DNS answers itself, by any template.
func TestHostsOfConsul(t *testing.T) {
	for _, c := range []struct {
		service, template, host string
		want                    bool
	}{
		{"consul-", "{{ .Name }}", "consul.service.consul", false},
		{"CONSUL", "{{ .Name }}.service.consul", "consul.service.consul", false},
		{"ns", "{{ .Name }}.consul", "ns.consul", false},
		{"hostmaster", "{{ .Name }}.{{ .Domain }}", "hostmaster.consul", false},
		{"service", "{{ .Name }}.consul", "service.consul", false},
		{"addr", "{{ .Name }}.consul", "addr.consul", false},
		{"vm-1", "{{ .Name }}.node.consul", "vm-1.node.consul", false},
		{"vm-1", "{{ .Name }}.node.{{ .Datacenter }}.consul", "vm-1.node.dc1.consul", false},
		{"dc2", "vm-1.node.{{ .Name }}.consul", "vm-1.node.dc2.consul", false},
		{"dc2", "consul.service.{{ .Name }}.consul", "consul.service.dc2.consul", false},
		{"leader", "{{ .Name }}.consul.service.consul", "leader.consul.service.consul", false},
		{"main", "{{ .Name }}.query.consul", "main.query.consul", false},
		{"0a000001", "{{ .Name }}.addr.dc1.consul", "0a000001.addr.dc1.consul", false},
		{"web", "{{ .Name }}.consul", "web.consul", true},
		{"web", "{{ .Name }}.virtual.consul", "web.virtual.consul", true},
		{"web", "{{ .Name }}.node.example", "web.node.example", true},
		{"consul-ui", "{{ .Name }}", "consul-ui.service.consul", true},
	} {
		template, err := mesh.ParseHostTemplate(c.template)
		if err != nil {
			t.Fatal(err)
		}
		m := meshtest.Cases()[0]
		m.Service.Key.Name, m.Service.Datacenter = c.service, "dc1"
		m.Options.Hosts = []mesh.HostTemplate{template}
		var names mesh.Names
		names.Add(m.Service.Key)
		resources, findings := mesh.Translate(m.Service, names.Of(m.Service.Key), m.Options)
		hosts := resources.Objects[0].Spec.(*networking.ServiceEntry).Hosts
		if slices.Contains(hosts, c.host) != c.want {
			t.Errorf("%q by %q: %q, %+v", c.service, c.template, hosts, findings)
		}
		if !c.want && len(findings) == 0 {
			t.Errorf("%q by %q: no finding", c.service, c.template)
		}
	}
}
