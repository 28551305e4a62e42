package consul

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
)

func (s *server) testRename(t *testing.T) {
	s.register("n1", "stays", "before")
	s.register("n1", "moves", "before")
	s.register("n1", "after-1", "after")
	p := s.watch(t, "", 0)
	s.register("n1", "moves", "after")
	p.expect(t, "after", "n1/after-1", "n1/after-1 n1/moves")
	p.expect(t, "before", "n1/moves n1/stays", "n1/stays")
	s.register("n1", "stays", "unheard-of")
	p.expect(t, "unheard-of", "n1/stays")
	p.expect(t, "before", "n1/moves n1/stays", "n1/stays", "")
}

func (s *server) testTwoNodes(t *testing.T) {
	s.register("n1", "same", "twice")
	s.register("n2", "same", "twice", func(r *api.CatalogRegistration) { r.Service.Port = 81 })
	p := s.watch(t, "", 0)
	p.expect(t, "twice", "n1/same n2/same")
	s.deregister("n1", "same")
	p.expect(t, "twice", "n1/same n2/same", "n2/same")
}

func (s *server) testNames(t *testing.T) {
	long := strings.Repeat("l", 300)
	good := []string{"Foo_Bar", "foo_bar", "a.b", "中文", "x/y", "with spaces ", "*", "😀", "a%2Fb", "q?x=1#y", long}
	bad := []string{"..", "a//b", "control\x01\n"}
	for i, name := range append(slices.Clone(good), bad...) {
		s.register("names", "id"+string(rune('a'+i)), name)
	}
	p := s.watch(t, "", 0)
	for i, name := range good {
		p.expect(t, name, "names/id"+string(rune('a'+i)))
	}
	for _, name := range bad {
		p.expect(t, name, "partly")
	}
	p.logged(messageInvalidName, len(bad))
	p.metric(failingGauge, float64(len(bad)), "reason=invalid_name")
	s.register("names", "more", "x/y")
	p.expect(t, "x/y", "names/ide", "names/ide names/more")
	for i := range append(good, bad...) {
		s.deregister("names", "id"+string(rune('a'+i)))
	}
	s.deregister("names", "more")
	eventually(t, "all are gone", func() bool { return !slices.ContainsFunc(append(good, bad...), p.watches) })
	p.metric(failingGauge, 0)
}

func (s *server) testKinds(t *testing.T) {
	s.register("n1", "plain", "kinds")
	s.register("n1", "proxy", "kinds-sidecar-proxy", func(r *api.CatalogRegistration) {
		r.Service.Kind = api.ServiceKindConnectProxy
		r.Service.Proxy = &api.AgentServiceConnectProxyConfig{DestinationServiceName: "kinds"}
	})
	s.register("n1", "proxy2", "kinds", func(r *api.CatalogRegistration) {
		r.Service.Kind = api.ServiceKindConnectProxy
		r.Service.Proxy = &api.AgentServiceConnectProxyConfig{DestinationServiceName: "kinds"}
	})
	p := s.watch(t, "", 0)
	p.expect(t, "kinds", "n1/plain")
	p.expect(t, "kinds-sidecar-proxy")
}
