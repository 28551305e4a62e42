package consul

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestConsulKinds runs on a real Consul server, with and without streaming, because a change of a proxy must reach the service
// that it represents in both modes.
func TestConsulKinds(t *testing.T) {
	for name, config := range map[string]string{
		"streaming":     ``,
		"not streaming": notStreaming,
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, config)
			t.Run("registrations", s.testInstanceKinds)
			t.Run("sidecars", s.testSidecars)
		})
	}
}

// leftOut waits until an instance of a service is left out for these kinds.
func (p *harness) leftOut(t *testing.T, name, id string, want catalog.Kinds) {
	t.Helper()
	eventually(t, name+" has the right kinds", func() bool {
		for _, i := range p.latest(name).Instances {
			if i.ID.ServiceID == id {
				return i.LeftOut == want
			}
		}
		return false
	})
}

// proxying makes a registration that of a proxy.
func proxying(service, id string, mode api.ProxyMode) func(*api.CatalogRegistration) {
	return func(r *api.CatalogRegistration) {
		r.Service.Kind = api.ServiceKindConnectProxy
		r.Service.Proxy = &api.AgentServiceConnectProxyConfig{DestinationServiceName: service, DestinationServiceID: id, Mode: mode}
	}
}

func (s *server) testInstanceKinds(t *testing.T) {
	s.register("n1", "dns-1", "dns")
	s.register("n1", "dns-1:udp", "dns", tagged("udp"))
	s.register("n1", "native-1", "native", func(r *api.CatalogRegistration) { r.Service.Connect = &api.AgentServiceConnect{Native: true} })
	s.register("k8s-sync", "shop-1", "shop", tagged("k8s"), having("external-source", "kubernetes", "external-k8s-ns", "shop"))
	p := s.selecting(t, Options{})
	p.leftOut(t, "dns", "dns-1", 0)
	p.leftOut(t, "dns", "dns-1:udp", catalog.UDP)
	p.leftOut(t, "native", "native-1", catalog.ConnectNative)
	p.leftOut(t, "shop", "shop-1", catalog.KubernetesSync)
	if dns := p.latest("dns"); dns.Endpoints() != 1 || dns.Instances[0].Superseded {
		t.Errorf("the UDP port supersedes the TCP port: %+v", dns.Instances)
	}
	p.source.Select(Selection{Kinds: catalog.KubernetesSync})
	p.leftOut(t, "shop", "shop-1", 0)
	p.leftOut(t, "native", "native-1", catalog.ConnectNative)
	p.logged("level=WARN", 0)
}

func (s *server) testSidecars(t *testing.T) {
	testbed.RequireConsul(t, testbed.ConsulTransparentProxy, "transparent proxy")
	s.register("n1", "app-1", "app")
	s.register("n1", "app-2", "app")
	s.register("n1", "app-1-proxy", "app-sidecar-proxy", proxying("app", "app-1", api.ProxyModeTransparent))
	for _, selection := range []Selection{{}, {Include: []string{"app", "late"}}} {
		p := s.selecting(t, Options{Selection: selection})
		p.leftOut(t, "app", "app-1", catalog.ConnectSidecar)
		p.leftOut(t, "app", "app-2", 0)
		p.expect(t, "app", "n1/app-1 n1/app-2") // one report: the service was not reported before its sidecars were read
		s.register("n1", "app-1-proxy", "app-sidecar-proxy", proxying("app", "app-1", api.ProxyModeDirect))
		p.leftOut(t, "app", "app-1", 0)
		s.register("n1", "app-1-proxy", "app-sidecar-proxy", proxying("app", "app-1", api.ProxyModeTransparent))
		p.leftOut(t, "app", "app-1", catalog.ConnectSidecar)
		s.deregister("n1", "app-1-proxy")
		p.leftOut(t, "app", "app-1", 0)
		s.register("n1", "app-1-proxy", "app-sidecar-proxy", proxying("app", "app-1", api.ProxyModeTransparent))
		p.leftOut(t, "app", "app-1", catalog.ConnectSidecar)

		s.register("n2", "late-1", "late")
		s.register("n2", "late-1-proxy", "late-sidecar-proxy", proxying("late", "late-1", api.ProxyModeTransparent))
		p.leftOut(t, "late", "late-1", catalog.ConnectSidecar)
		s.deregister("n2", "late-1")
		s.deregister("n2", "late-1-proxy")

		selection.Kinds = catalog.ConnectSidecar
		p.source.Select(selection)
		p.leftOut(t, "app", "app-1", 0)
		p.logged("level=WARN", 0)
	}
}

// TestForeignSidecar verifies that Consul refuses a proxy for a service that its token cannot write. Otherwise a team could take
// the service of another team out of the mesh. It also verifies that a token without rights for the proxies removes no mark.
func TestForeignSidecar(t *testing.T) {
	testbed.Require(t, testbed.ConsulBinary)
	testbed.RequireConsul(t, testbed.ConsulTransparentProxy, "transparent proxy")
	s := startServer(t, acls(t))
	s.register("n1", "web-1", "web")
	_, other, _ := s.token(t, "other", `node_prefix "" { policy = "write" } service_prefix "other" { policy = "write" }`)
	register := func(token, service, id string) error {
		r := &api.CatalogRegistration{Node: "n1", Address: "10.0.0.1", SkipNodeUpdate: true, Service: &api.AgentService{
			ID: id + "-proxy", Service: service + "-sidecar-proxy", Port: 21000,
		}}
		if service == "other" { // the proxy has a name of the other team, and names the foreign instance
			service = "web"
		}
		proxying(service, id, api.ProxyModeTransparent)(r)
		_, err := s.api.Catalog().Register(r, &api.WriteOptions{Token: token})
		return err
	}
	if err := register(other, "other", "web-1"); !isForbidden(err) {
		t.Fatalf("a proxy for the service of another team: %v", err)
	}
	_, secret, policy := s.token(t, "reader", readAll)
	p := s.watch(t, secret, time.Second)
	p.leftOut(t, "web", "web-1", 0)
	if err := register(management, "web", "web-1"); err != nil {
		t.Fatal(err)
	}
	p.leftOut(t, "web", "web-1", catalog.ConnectSidecar)
	before := len(p.of("web"))
	policy.Rules = `node_prefix "" { policy = "read" } service "web" { policy = "read" }`
	if _, _, err := s.api.ACL().PolicyUpdate(policy, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lost right is noticed", func() bool { return metric(t, p.registry, failingGauge, "reason=filtered") > 0 })
	s.register("n1", "web-2", "web")
	eventually(t, "the new instance", func() bool { return len(p.latest("web").Instances) == 2 })
	p.leftOut(t, "web", "web-1", catalog.ConnectSidecar)
	if got := len(p.of("web")); got < before+1 {
		t.Errorf("%d updates, then %d", before, got)
	}
}

// isForbidden reports whether Consul refused a request because of ACLs.
func isForbidden(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == http.StatusForbidden
}
