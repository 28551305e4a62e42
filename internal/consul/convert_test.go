package consul

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

var webKey = catalog.Key{Source: "test", Name: "web"}

// decode reads a body in Consul's format.
func decode(t *testing.T, body string) []*api.ServiceEntry {
	t.Helper()
	var entries []*api.ServiceEntry
	if err := json.Unmarshal([]byte(body), &entries); err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestConvertWhole(t *testing.T) {
	got := convert(webKey, "dc9", decode(t, `[
	  {"Node": {"Node": "n2", "Address": "10.0.0.2", "Datacenter": "forged", "Meta": {"rack": "r1"},
	            "Locality": {"Region": "eu", "Zone": "eu-1"}},
	   "Service": {"ID": "web-2", "Service": "web", "Address": "10.1.0.2", "Port": 8080, "Tags": ["b", "a"],
	               "Meta": {"version": "v2"}, "Weights": {"Passing": 3, "Warning": 2},
	               "Locality": {"Region": "us", "Zone": "us-1"}},
	   "Checks": [{"CheckID": "serfHealth", "Status": "passing", "Type": ""},
	              {"CheckID": "service:web-2", "ServiceID": "WEB-2", "Status": "passing", "Type": "HTTP"},
	              {"CheckID": "service:web-2:2", "ServiceID": "web-2", "Status": "passing", "Type": "http"},
	              {"CheckID": "service:web-2:3", "ServiceID": "web-2", "Status": "warning", "Type": "grpc"},
	              {"CheckID": "node", "ServiceID": "", "Status": "passing", "Type": "tcp"}]},
	  {"Node": {"Node": "n1", "Address": "10.0.0.1", "Locality": {"Region": "eu", "Zone": "eu-1"}},
	   "Service": {"ID": "web-1", "Service": "web", "Tags": [], "Meta": {},
	               "Ports": [{"Name": "a", "Port": 1}, {"Name": "b", "Port": 2, "Default": true}]}}
	]`), "")
	want := catalog.Service{Key: webKey, Datacenter: "dc9", Instances: []catalog.Instance{
		{
			ID:      catalog.InstanceID{Datacenter: "dc9", Node: "n1", ServiceID: "web-1"},
			Address: "10.0.0.1", Port: 2, Ports: []catalog.Port{{Name: "a", Number: 1}, {Name: "b", Number: 2, Default: true}},
			Locality: catalog.Locality{Region: "eu", Zone: "eu-1"}, Health: catalog.Passing,
		},
		{
			ID:      catalog.InstanceID{Datacenter: "dc9", Node: "n2", ServiceID: "web-2"},
			Address: "10.1.0.2", Port: 8080, Tags: []string{"b", "a"},
			Meta: map[string]string{"version": "v2"}, NodeMeta: map[string]string{"rack": "r1"},
			Locality: catalog.Locality{Region: "us", Zone: "us-1"}, Weights: catalog.Weights{Passing: 3, Warning: 2},
			Health: catalog.Warning, Checks: []catalog.Check{{Type: "grpc"}, {Type: "http"}},
		},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, expected\n%+v", got, want)
	}
}

func TestConvertLeavesOut(t *testing.T) {
	for name, entry := range map[string]string{
		"null":               `null`,
		"no node":            `{"Service": {"ID": "a", "Service": "web"}}`,
		"no service":         `{"Node": {"Node": "n"}}`,
		"a proxy":            `{"Node": {}, "Service": {"ID": "a", "Service": "web", "Kind": "connect-proxy"}}`,
		"a gateway":          `{"Node": {}, "Service": {"ID": "a", "Service": "web", "Kind": "mesh-gateway"}}`,
		"an unknown kind":    `{"Node": {}, "Service": {"ID": "a", "Service": "web", "Kind": "x"}}`,
		"another case":       `{"Node": {}, "Service": {"ID": "a", "Service": "Web"}}`,
		"a peer's service":   `{"Node": {}, "Service": {"ID": "a", "Service": "web", "PeerName": "p"}}`,
		"a service's a peer": `{"Node": {"PeerName": "p"}, "Service": {"ID": "a", "Service": "web"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := convert(webKey, "", decode(t, "["+entry+"]"), ""); got.Instances != nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestConvertKeepsOneOfTwins(t *testing.T) {
	got := convert(webKey, "", decode(t, `[{"Node": {"Node": "n"}, "Service": {"ID": "a", "Service": "web"}},
	  {"Node": {"Node": "N"}, "Service": {"ID": "A", "Service": "web"}},
	  {"Node": {"Node": "n2"}, "Service": {"ID": "a", "Service": "web"}}]`), "")
	if len(got.Instances) != 2 || got.Instances[0].ID.Node != "N" || got.Instances[1].ID.Node != "n2" {
		t.Errorf("got %+v", got.Instances)
	}
}

func TestHealth(t *testing.T) {
	check := func(id, status string) *api.HealthCheck { return &api.HealthCheck{CheckID: id, Status: status} }
	tests := map[string]struct {
		checks api.HealthChecks
		want   catalog.Health
	}{
		"no checks":               {nil, catalog.Passing},
		"null":                    {api.HealthChecks{nil}, catalog.Passing},
		"passing":                 {api.HealthChecks{check("a", "passing")}, catalog.Passing},
		"warning":                 {api.HealthChecks{check("a", "warning"), check("b", "passing")}, catalog.Warning},
		"critical":                {api.HealthChecks{check("a", "critical"), check("b", "warning")}, catalog.Critical},
		"unknown":                 {api.HealthChecks{check("a", "fine")}, catalog.Critical},
		"no status":               {api.HealthChecks{check("a", "")}, catalog.Critical},
		"node maintenance":        {api.HealthChecks{check("a", "critical"), check("_node_maintenance", "critical")}, catalog.Maintenance},
		"service maintenance":     {api.HealthChecks{check("_service_maintenance:ID", "critical"), check("a", "passing")}, catalog.Maintenance},
		"another's maintenance":   {api.HealthChecks{check("_service_maintenance:other", "critical")}, catalog.Critical},
		"maintenance that passes": {api.HealthChecks{check("_node_maintenance", "passing")}, catalog.Passing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := healthOf("id", test.checks); got != test.want {
				t.Errorf("got %s, expected %s", got, test.want)
			}
		})
	}
}

func TestLoses(t *testing.T) {
	service := func(ids ...string) catalog.Service {
		var s catalog.Service
		for _, id := range ids {
			s.Instances = append(s.Instances, catalog.Instance{ID: catalog.InstanceID{Node: id}})
		}
		return s
	}
	for _, test := range []struct {
		before, after catalog.Service
		want          bool
	}{
		{service(), service(), false},
		{service(), service("a"), false},
		{service("b"), service("a", "b", "c"), false},
		{service("a"), service(), true},
		{service("a", "b"), service("b"), true},
		{service("a", "b"), service("a"), true},
		{service("a", "c"), service("a", "b", "d"), true},
	} {
		if got := loses(test.before, test.after); got != test.want {
			t.Errorf("loses(%v, %v) = %v", test.before, test.after, got)
		}
	}
}

func FuzzConvert(f *testing.F) {
	f.Add([]byte(instances("web", "n1/web-1", "n1/web-2", "N1/WEB-1")))
	f.Fuzz(func(t *testing.T, body []byte) {
		var entries []*api.ServiceEntry
		if json.Unmarshal(body, &entries) != nil {
			return
		}
		service := convert(webKey, "dc1", entries, "wan")
		seen := map[catalog.InstanceID]bool{}
		for i, instance := range service.Instances {
			if i > 0 && service.Instances[i-1].ID.Compare(instance.ID) >= 0 {
				t.Errorf("instances are not sorted: %v before %v", service.Instances[i-1].ID, instance.ID)
			}
			if id := instance.ID.Fold(); seen[id] {
				t.Errorf("duplicate instance: %v", id)
			} else {
				seen[id] = true
			}
			if !slices.IsSortedFunc(instance.Checks, catalog.Check.Compare) {
				t.Errorf("the checks %v are not sorted", instance.Checks)
			}
		}
		if loses(service, service) {
			t.Error("loses reports a difference between a service and itself")
		}
	})
}
