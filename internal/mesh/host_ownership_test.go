package mesh_test

import (
	"slices"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// TestHostsAreOwn verifies that services with confusing names get their own hosts and no others.
func TestHostsAreOwn(t *testing.T) {
	for name, want := range map[string][]string{
		"web":                       {"web.service.consul", "web.service.dc1.consul", "web"},
		"a.service.dc2":             {"a-service-dc2--", ".service.consul"},
		"web.service.consul":        {"web-service-consul--", ".service.consul"},
		"web.default.svc":           {"web-default-svc--", ".service.consul"},
		"*":                         {"unnamed--", ".service.consul"},
		"*.web":                     {"web--", ".service.consul"},                            // the service web has the name
		"WEB":                       {"web.service.consul", "web.service.dc1.consul", "web"}, // the same service
		"web\x00":                   {"web--", ".service.consul"},
		"web.":                      {"web--", ".service.consul"},
		"kubernetes":                {"kubernetes.service.consul", "kubernetes.service.dc1.consul"},
		"localhost":                 {"localhost.service.consul", "localhost.service.dc1.consul"},
		"web-x":                     {"web-x.service.consul", "web-x.service.dc1.consul", "web-x"},
		"Web.Service.dc1":           {"web-service-dc1--", ".service.consul"},
		"web--0123456789abcdef0123": {"web--0123456789abcdef0123--", ".service.consul"},
	} {
		t.Run(name, func(t *testing.T) {
			hosts := hostsOf(t, world{
				services:   []catalog.Key{key("web"), key("a_service_dc2"), key("web-service.consul"), key("web_default-svc"), key("web service dc1"), key(name)},
				newcomers:  1,
				templates:  []string{"{{ .Name }}", "{{ .Name }}-x"},
				registries: []mesh.Registry{{Source: "consul", Domain: "consul", Datacenter: "dc1"}, {Source: "east", Domain: "consul", Datacenter: "dc2"}},
			})[key(name)]
			if strings.HasSuffix(want[0], "--") {
				if len(hosts) == 0 || !strings.HasPrefix(hosts[0], want[0]) || !strings.HasSuffix(hosts[0], want[1]) {
					t.Errorf("hosts %q", hosts)
				}
			} else if !slices.Equal(hosts, want) {
				t.Errorf("hosts %q, want %q", hosts, want)
			}
		})
	}
}

// typical is created once to keep the fuzz test fast.
var typical = meshtest.Cases()[0]

// world is a mesh, reduced to the properties that determine hosts.
type world struct {
	services []catalog.Key
	// newcomers is the number of the last services that are added after Freeze.
	newcomers     int
	templates     []string
	registries    []mesh.Registry
	clusterDomain string
}

// hostsOf translates all services, and fails the test if two of them have the same name, object or host.
func hostsOf(t *testing.T, w world) map[catalog.Key][]string {
	t.Helper()
	options := typical.Options
	options.Registries, options.ClusterDomain = w.registries, w.clusterDomain
	for _, text := range w.templates {
		if template, err := mesh.ParseHostTemplate(text); err == nil {
			options.Hosts = append(options.Hosts, template)
		}
	}
	var names mesh.Names
	for i, k := range w.services {
		if i == len(w.services)-w.newcomers {
			names.Freeze(k.Source)
		}
		names.Add(k)
	}
	folds := map[catalog.Key]catalog.Key{}
	all, objects, owners := map[catalog.Key][]string{}, map[string]catalog.Key{}, map[string]catalog.Key{}
	for _, k := range w.services {
		folded := catalog.Key{Source: k.Source, Name: strings.ToLower(k.Name)}
		if same, ok := folds[folded]; ok {
			all[k] = all[same]
			continue
		}
		folds[folded] = k
		at := slices.IndexFunc(w.registries, func(r mesh.Registry) bool { return r.Source == k.Source })
		service := typical.Service
		service.Key, service.Datacenter = k, w.registries[at].Datacenter
		resources, findings := mesh.Translate(service, names.Of(k), options)
		if resources.Broken {
			t.Fatalf("%+v", findings)
		}
		all[k] = []string{}
		for _, object := range resources.Objects {
			id := string(object.Kind) + " " + object.Name
			if other, taken := objects[id]; taken {
				t.Errorf("%q and %q both have %s", k, other, id)
			}
			objects[id] = k
		}
		if len(resources.Objects) == 0 {
			continue
		}
		all[k] = resources.Objects[0].Spec.(*networking.ServiceEntry).Hosts
		for _, host := range all[k] {
			if other, taken := owners[host]; taken {
				t.Errorf("%q and %q both have %q", k, other, host)
			}
			owners[host] = k
			refused(t, host, validation.IsDNS1123Subdomain(host))
			if first, rest, _ := strings.Cut(host, "."); first == "consul" && strings.HasPrefix(rest, "service.") {
				t.Errorf("%q has the host %q of Consul", k, host)
			}
			if mesh.UnderDomain(host, w.clusterDomain) || mesh.UnderDomain(host, "svc") {
				t.Errorf("%q has the reserved host %q", k, host)
			}
		}
	}
	return all
}

// FuzzOwn verifies for arbitrary catalogs and rules: no two services have the same name, object or host, and no host is a
// wildcard or the cluster's. Names and templates are lines.
func FuzzOwn(f *testing.F) {
	f.Add("web\nweb-x\nWeb\na.service.dc2", "{{ .Name }}\n{{ .Name }}-x", "consul", "dc2.consul", "dc1", "dc2", "cluster.local")
	f.Add("a-b\na\nb\nb-c", "{{ .Name }}-{{ .Datacenter }}\n{{ .Datacenter }}-{{ .Name }}", "consul", "consul", "b-c", "c", "consul")
	f.Add("web\n*\n\n中文\nweb--0123456789abcdef0123", "{{ .Name }}.{{ .Domain }}\n{{ .Name }}.service.{{ .Datacenter }}.{{ .Domain }}", "x", "dc1.x", "dc_1", "dc-1", "dc1.x")
	f.Add("service\nconsul\nx.service", "x.{{ .Name }}\n{{ .Name }}.x\n{{ .Name }}{{ .Domain }}", "a", "a", "", "a", "a")
	f.Fuzz(func(t *testing.T, names, templates, domain, otherDomain, datacenter, otherDatacenter, clusterDomain string) {
		for _, d := range []string{domain, otherDomain, clusterDomain} { // the configuration rejects others
			if len(validation.IsDNS1123Subdomain(d)) > 0 {
				t.Skip()
			}
		}
		if datacenter == "" || otherDatacenter == "" {
			t.Skip("unknown datacenters cannot be compared")
		}
		w := world{templates: strings.Split(templates, "\n"), clusterDomain: clusterDomain, registries: []mesh.Registry{
			{Source: "consul", Domain: domain, Datacenter: datacenter}, {Source: "east", Domain: otherDomain, Datacenter: otherDatacenter},
		}}
		for _, name := range strings.Split(names, "\n") {
			w.services = append(w.services, key(name), catalog.Key{Source: "east", Name: name})
		}
		hostsOf(t, w)
		w.newcomers = len(w.services) / 2
		hostsOf(t, w)
	})
}
