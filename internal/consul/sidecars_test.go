package consul

import (
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

func proxyEntry(node, name, service, id string, mode api.ProxyMode) *api.ServiceEntry {
	return &api.ServiceEntry{
		Node: &api.Node{Node: node, Address: "10.0.0.1", Datacenter: "dc1"},
		Service: &api.AgentService{
			ID: id + sidecarSuffix, Service: name, Port: 21000, Kind: api.ServiceKindConnectProxy,
			Proxy: &api.AgentServiceConnectProxyConfig{DestinationServiceName: service, DestinationServiceID: id, Mode: mode},
		},
	}
}

// behind returns the IDs of the instances of a reported service that are left out because of their sidecar.
func (r *recorder) behind(service string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, i := range r.latest[service].Instances {
		if i.LeftOut == catalog.ConnectSidecar {
			ids = append(ids, i.ID.Node+"/"+i.ID.ServiceID)
		}
	}
	return ids
}

// TestSidecars verifies which instances a proxy protects, and that a change of the proxies is reported for the services that
// they represent and for no other.
func TestSidecars(t *testing.T) {
	var web []*api.ServiceEntry
	for _, id := range []string{"web-1", "web-2"} {
		for _, node := range []string{"n1", "n2"} {
			web = append(web, &api.ServiceEntry{
				Node: &api.Node{Node: node, Address: "10.0.0.1"}, Service: &api.AgentService{ID: id, Service: "Web", Port: 80},
			})
		}
	}
	sink := &recorder{}
	s := newSelector(Selection{})
	s.open(sink)
	now := time.Now()
	s.Update(convert(catalog.Key{Name: "Web"}, "dc1", web, ""), now)
	s.Update(convert(catalog.Key{Name: "other"}, "dc1", nil, ""), now)
	for name, step := range map[string]struct {
		proxies []*api.ServiceEntry
		want    []string
	}{
		"one instance": {[]*api.ServiceEntry{proxyEntry("N1", "p", "web", "WEB-1", api.ProxyModeTransparent)}, []string{"n1/web-1"}},
		"a node":       {[]*api.ServiceEntry{proxyEntry("n2", "p", "web", "", api.ProxyModeTransparent)}, []string{"n2/web-1", "n2/web-2"}},
		"not transparent": {[]*api.ServiceEntry{
			proxyEntry("n1", "p", "web", "web-1", api.ProxyModeDirect), proxyEntry("n2", "p", "web", "web-1", api.ProxyModeDefault),
		}, nil},
		"another service":  {[]*api.ServiceEntry{proxyEntry("n1", "p", "other", "web-1", api.ProxyModeTransparent)}, nil},
		"another name":     {[]*api.ServiceEntry{proxyEntry("n1", "P", "web", "web-1", api.ProxyModeTransparent)}, nil},
		"no configuration": {[]*api.ServiceEntry{nil, {Node: &api.Node{}, Service: &api.AgentService{Service: "p", Kind: api.ServiceKindConnectProxy}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(sink.all())
			s.setSidecars("p", sidecarsOf("p", step.proxies), now)
			if got := sink.behind("Web"); !slices.Equal(got, step.want) {
				t.Errorf("left out: %q, want %q", got, step.want)
			}
			s.setSidecars("q", sidecarsOf("p", step.proxies), now) // a second registration changes nothing
			s.setSidecars("p", nil, now)
			if got := sink.behind("Web"); !slices.Equal(got, step.want) {
				t.Errorf("with one of two registrations: %q, want %q", got, step.want)
			}
			s.forget("q")
			if got := sink.behind("Web"); got != nil {
				t.Errorf("without proxies: %q", got)
			}
			if got, want := len(sink.all())-before, min(len(step.want), 1)*2; got != want {
				t.Errorf("%d reports, want %d", got, want)
			}
		})
	}
}

// TestSidecarsAreReadFirst verifies that the initial sync reports a service only once its sidecars are read, that a proxy that
// disappears counts only after a read, and that a filtered response removes no proxy.
func TestSidecarsAreReadFirst(t *testing.T) {
	const proxies = "web" + sidecarSuffix
	body := mustJSON([]*api.ServiceEntry{proxyEntry("n1", proxies, "web", "a", api.ProxyModeTransparent)})
	s := newFakeConsul(t)
	s.list(sent(0).says(10, names("web", proxies, "db", "db"+sidecarSuffix)))
	s.service("web", sent(0).says(10, instances("web", "n1/a", "n1/b")))
	s.service("db", sent(0).says(10, instances("db", "n1/c")))
	s.service("db"+sidecarSuffix, sent(0).later(time.Second).says(10, "[]"))
	s.service(proxies,
		sent(0).later(2*time.Second).says(10, body),
		sent(10).later(time.Minute).says(11, "[]"),
		sent(0).says(12, body), // the proxy was only missing in the poll
		sent(12).later(time.Minute).says(13, "[]"),
		sent(0).says(14, "[]"),
	)
	p := s.run(4*time.Minute, Options{Selection: Selection{Include: []string{"web", "db"}}})
	p.told("db: n1/c", "web: n1/a n1/b", "synced test", "web: n1/a n1/b")
	if got := p.sink.behind("web"); got != nil {
		t.Errorf("left out after the removal of the proxy: %q", got)
	}
}
