package config

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

var update = flag.Bool("update", false, "write the generated pages")

func TestEmptyFileIsTheDefault(t *testing.T) {
	for _, content := range []string{"", "\n", "# nothing\n", "sources:\n- {}\n"} {
		got, err := Parse([]byte(content))
		if err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		if diff := cmp.Diff(Default(), got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", content, diff)
		}
	}
}

func TestParse(t *testing.T) {
	got, err := Parse([]byte(`
sources:
- name: east
  address: https://consul.east.example:8501
  wait: 90s
  region: eu-west-1
  zone: eu-west-1a
  services: {include: ["shop-*"], exclude: ["*-internal"], withTags: [mesh], withoutTags: [old], includeKinds: [udp], filter: Service.Port == 80}
mesh:
  hosts: ["{{ .Name }}", "{{ .Name }}.{{ .Datacenter }}.shop.example"]
  endpoints: inline
kubernetes:
  shards: 20
  removalGrace: 1h30m
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Sources[0].Name = "east"
	want.Sources[0].Address = "https://consul.east.example:8501"
	want.Sources[0].Wait = Duration(90 * time.Second)
	want.Sources[0].Region, want.Sources[0].Zone = "eu-west-1", "eu-west-1a"
	want.Sources[0].Services = Services{
		Include: []string{"shop-*"}, Exclude: []string{"*-internal"}, WithTags: []string{"mesh"}, WithoutTags: []string{"old"},
		IncludeKinds: []string{"udp"}, Filter: "Service.Port == 80",
	}
	want.Mesh.Hosts = []string{"{{ .Name }}", "{{ .Name }}.{{ .Datacenter }}.shop.example"}
	want.Mesh.Endpoints = "inline"
	want.Kubernetes.Shards = 20
	want.Kubernetes.RemovalGrace = Duration(90 * time.Minute)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestHostsOfSeveralSources verifies that a single source has no datacenter in its hosts, and that each of several sources
// has its own domain or the common one.
func TestHostsOfSeveralSources(t *testing.T) {
	for name, test := range map[string]struct {
		content, domain string
		registries      []mesh.Registry
	}{
		"none named": {"", "consul", nil},
		"one":        {"sources: [{domain: x}]", "x", nil},
		"several": {
			"sources: [{name: a}, {name: b, address: 'b:1', domain: other}]\nmesh: {domain: common}", "",
			[]mesh.Registry{{Source: "a", Domain: "common"}, {Source: "b", Domain: "other"}},
		},
		"all merged": {"sources: [{name: a, merge: true}, {name: b, address: 'b:1', merge: true}]", "consul", nil},
		"two merged": {
			"sources: [{name: a, merge: true}, {name: b, address: 'b:1', merge: true}, {name: c, address: 'c:1', domain: c}]", "",
			[]mesh.Registry{{Source: "a", Domain: "consul", Merged: true}, {Source: "c", Domain: "c"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Parse([]byte(test.content))
			if err != nil {
				t.Fatal(err)
			}
			options, err := c.MeshOptions()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.registries, options.Registries); diff != "" || options.Domain != test.domain {
				t.Errorf("domain %q, registries (-want +got):\n%s", options.Domain, diff)
			}
		})
	}
}

func TestMeshOptions(t *testing.T) {
	c, err := Parse([]byte(`
sources: [{region: eu-west-1, zone: eu-west-1a}]
mesh:
  health: passing
  maxInstances: 100
  labels: {allow: [istio.io/*], deny: ["*"]}
  addresses: {allow: [127.0.0.0/8, "::1"], deny: ["*"]}
  exportTo: [., istio-system]
  rules:
  - {services: ["shop-*"], namespace: shop, exportTo: ["*"]}
  namespaceChoices: [blue]
  podRanges: [10.244.0.0/16, "fd00:10::/48"]
kubernetes: {namespace: base, shards: 2}
`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.MeshOptions()
	if err != nil {
		t.Fatal(err)
	}
	want := mesh.Options{
		Domain: "consul", ClusterDomain: "cluster.local", Form: mesh.AutoForm, DefaultProtocol: mesh.HTTP, PassingOnly: true, Ports: mesh.DefaultPorts(),
		Labels: mesh.Labels{Allow: []string{"istio.io/*"}, Deny: []string{"*"}}, MaxInstances: 100,
		PodRanges:  []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("fd00:10::/48")},
		Localities: map[string]catalog.Locality{"consul": {Region: "eu-west-1", Zone: "eu-west-1a"}},
		Addresses:  mesh.Addresses{Allow: ranges(t, "127.0.0.0/8", "::1"), Deny: ranges(t, "*")},
		Placement: mesh.Placement{
			Base: "base", Shards: 2, Choices: []string{"blue"}, ExportTo: []string{".", "istio-system"},
			Rules: []mesh.Rule{{Services: []string{"shop-*"}, Namespace: "shop", ExportTo: []string{"*"}}},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(mesh.AddressRange{}, netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"base-0", "base-1", "blue", "shop"}, got.Placement.Namespaces()); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
}

func ranges(t *testing.T, texts ...string) []mesh.AddressRange {
	t.Helper()
	var all []mesh.AddressRange
	for _, text := range texts {
		r, err := mesh.ParseAddressRange(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// TestBadInput verifies the error of each mistake. It names the entry, the mistake and the fix.
func TestBadInput(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"unknown entry":         {"mehs: {}", `unknown field "mehs"`},
		"unknown entry, nested": {"sources:\n- adress: x", `unknown field "adress"`},
		"no YAML":               {"sources: [", "line 1: did not find expected node content"},
		"twice":                 {"log: {}\nlog: {}", `line 2: key "log" already set in map`},
		"no source":             {"sources: []", "sources: empty list; remove the entry to use the Consul agent at CONSUL_HTTP_ADDR or 127.0.0.1:8500"},
		"two of a name":         {"sources: [{address: 'a:1'}, {address: 'b:1'}]", `sources[1].name: "consul" is the name of another source`},
		"two of a place":        {"sources: [{name: a}, {name: b}]", "sources[1].address: another source reads the same datacenter of the same agent"},
		"merge": {
			"sources: [{name: a}, {name: b, address: 'b:1', merge: true}]",
			`sources[1].merge: hosts of consul without a datacenter belong to "a", which isn't merged; set merge there too, or set a domain here`,
		},
		"source domain":             {"sources: [{domain: cluster.local}]", `sources[0].domain: "cluster.local" is under the cluster's own domain`},
		"source name":               {"sources: [{name: a.b}]", `sources[0].name: "a.b" is not a DNS label`},
		"scheme":                    {"sources: [{address: ftp://x}]", `sources[0].address: "ftp://x": the scheme is not http, https or unix`},
		"address":                   {"sources: [{address: 'http://'}]", `sources[0].address: "http://" is not host:port, http://host:port, https://host:port or unix:///path`},
		"address with a password":   {"sources: [{address: 'http://u:secret@h:1'}]", `sources[0].address: "…@h:1" is not host:port`},
		"port":                      {"sources: [{address: 'h:99999'}]", `"h:99999": "99999" is not a port`},
		"kind":                      {"sources: [{services: {includeKinds: [k8s]}}]", `sources[0].services.includeKinds: "k8s" is not one of udp, connect_native, connect_sidecar, kubernetes_sync`},
		"region":                    {"sources: [{region: eu/west}]", `sources[0].region: "eu/west" is not a part of a locality: use at most 63 letters, digits, -, _ and ., as in the labels of the nodes`},
		"zone":                      {"sources: [{zone: -a}]", `sources[0].zone: "-a" is not a part of a locality`},
		"wait":                      {"sources: [{wait: 1h}]", "sources[0].wait: 1h is not within 1s and 8m"},
		"duration without a unit":   {"sources: [{wait: 5}]", `duration 5: write it with its unit, as in "30s" or "5m"`},
		"half a key pair":           {"sources: [{tls: {certFile: x}}]", "sources[0].tls: certFile and keyFile require each other"},
		"empty glob":                {"sources: [{services: {exclude: [a, '']}}]", "sources[0].services.exclude[1]: empty glob; * matches any name"},
		"no list of globs":          {"sources: [{services: {include: a}}]", "cannot unmarshal string into Go struct field"},
		"unknown selection":         {"sources: [{services: {tags: [a]}}]", `unknown field "tags"`},
		"domain":                    {"mesh: {domain: a_b}", `mesh.domain: "a_b" is not a domain`},
		"domain of the cluster":     {"mesh: {domain: x.cluster.local}", `mesh.domain: "x.cluster.local" is under the cluster's own domain "cluster.local"`},
		"host template":             {"mesh: {hosts: ['{{ .Nmae }}']}", "mesh.hosts[0]: host template"},
		"empty tag":                 {"mesh: {tagHosts: ['']}", "mesh.tagHosts[0]: the glob is empty; use * for any tag"},
		"tag that is no label":      {"mesh: {tagHosts: [master, v1.2]}", `mesh.tagHosts[1]: "v1.2" matches no tag that is a DNS label`},
		"tag with a value":          {"mesh: {tagHosts: ['role=*']}", `mesh.tagHosts[0]: "role=*" matches no tag that is a DNS label`},
		"namespace":                 {"sources: [{name: a, namespace: team-a}]", `sources: entry "namespace": namespaces of Consul Enterprise are not supported`},
		"several namespaces":        {"sources: [{Namespaces: [a, b]}]", `sources: entry "Namespaces": namespaces of Consul Enterprise are not supported`},
		"partition":                 {"sources: [{partition: billing}]", `sources: entry "partition": admin partitions of Consul Enterprise are not supported`},
		"peer":                      {"sources: [{peers: [east]}]", `sources: entry "peers": services that are imported from a cluster peer are not supported; add the Consul of the peer as a source`},
		"no connection to spare":    {"sources: [{serviceDefaults: true, connections: 3}]", "sources[0].connections: 3 is less than 4"},
		"one host for all":          {"mesh: {hosts: [a.b]}", `mesh.hosts[0]: host template "a.b" gives all services the same host "a.b"; add {{ .Name }}`},
		"endpoints":                 {"mesh: {endpoints: x}", `mesh.endpoints: "x" is not one of auto, workloadEntry, inline`},
		"network without a name":    {"mesh: {networks: [{ranges: [10.0.0.0/8]}]}", `mesh.networks[0].name: empty; write the name of the network`},
		"name of a network":         {"mesh: {networks: [{name: a/b, ranges: [10.0.0.0/8]}]}", `mesh.networks[0].name: "a/b" is not a label value`},
		"network without ranges":    {"mesh: {networks: [{name: a}]}", `mesh.networks[0].ranges: empty, so the network has no instance`},
		"range of a network":        {"mesh: {networks: [{name: a, ranges: [10.1.0.0/8]}]}", `mesh.networks[0].ranges[0]: "10.1.0.0/8" is not the first address of a range; use 10.0.0.0/8`},
		"range of two networks":     {"mesh: {networks: [{name: a, ranges: [10.0.0.0/8]}, {name: b, ranges: [10.0.0.0/8]}]}", `mesh.networks[1].ranges[0]: 10.0.0.0/8 is a range of network "a" too`},
		"network of a source":       {"sources: [{network: '-'}]", `sources[0].network: "-" is not a label value`},
		"pod range":                 {"mesh: {podRanges: [10.244.0.0]}", `mesh.podRanges[0]: "10.244.0.0" is an address; write 10.244.0.0/32`},
		"pod range with host bits":  {"mesh: {podRanges: [10.244.0.0/16, 10.1.2.3/8]}", `mesh.podRanges[1]: "10.1.2.3/8" is not the first address of a range; use 10.0.0.0/8`},
		"mapped pod range":          {"mesh: {podRanges: ['::ffff:10.0.0.0/104']}", `mesh.podRanges[0]: "::ffff:10.0.0.0/104": write IPv4 ranges in IPv4 notation`},
		"name as pod range":         {"mesh: {podRanges: [pods]}", `mesh.podRanges[0]: "pods" is not a range such as 10.244.0.0/16`},
		"protocol":                  {"mesh: {defaultProtocol: x}", `mesh.defaultProtocol: protocol "x" is unknown; use one of tcp, tls`},
		"health":                    {"mesh: {health: x}", `mesh.health: "x" is not one of passingAndWarning, passing`},
		"export":                    {"mesh: {exportTo: [A_b, x, x]}", `mesh.exportTo: "A_b" is neither ".", "*", "~" nor the name of a namespace, "x" is a duplicate`},
		"export to all and more":    {"mesh: {exportTo: ['*', x]}", `mesh.exportTo: "*" cannot be combined with other namespaces`},
		"export to none and more":   {"mesh: {rules: [{services: [a], exportTo: [., '~']}]}", `mesh.rules[0].exportTo: "~" cannot be combined with other namespaces`},
		"rule for none":             {"mesh: {rules: [{namespace: x}]}", `mesh.rules[0].services: empty, so the rule matches no service; ["*"] matches all`},
		"rule that says nothing":    {"mesh: {rules: [{services: [a], namespace: x}, {services: [a]}]}", "mesh.rules[1]: sets none of namespace, exportTo, labels and annotations"},
		"own label of a rule":       {"mesh: {rules: [{services: [a], labels: {isthmus-mesh.github.io/source: x}}]}", `mesh.rules[0].labels: "isthmus-mesh.github.io/source" is reserved for isthmus or kubectl; remove it`},
		"annotation as a label":     {"mesh: {rules: [{services: [a], labels: {networking.istio.io/traffic-distribution: PreferClose}}]}", `move it to annotations`},
		"rule's namespace":          {"mesh: {rules: [{services: [a], namespace: a.b}]}", `mesh.rules[0].namespace: "a.b" is not a DNS label`},
		"choice by glob":            {"mesh: {namespaceChoices: [a, 'team-*']}", `mesh.namespaceChoices[1]: "team-*" is not a DNS label`},
		"range":                     {"mesh: {addresses: {allow: [10.0.0.0/8, 10.1.0.0/8]}}", `mesh.addresses.allow[1]: "10.1.0.0/8" is not the first address of a range; use 10.0.0.0/8`},
		"range by glob":             {"mesh: {addresses: {deny: ['10.0.*']}}", `mesh.addresses.deny[0]: "10.0.*" is neither an IP address, nor a range such as 10.0.0.0/8, nor a glob of host names`},
		"range of mapped addresses": {"mesh: {addresses: {deny: ['::ffff:10.0.0.0/104']}}", `"::ffff:10.0.0.0/104": write IPv4 ranges in IPv4 notation, for example 10.0.0.0/8`},
		"label":                     {"mesh: {labels: {allow: [Istio.io/rev]}}", `mesh.labels.allow[0]: "Istio.io/rev" matches no label: write the prefix in lower case`},
		"own label":                 {"mesh: {labels: {allow: [x, app]}}", `mesh.labels.allow[1]: "app" is a label that isthmus sets; remove it`},
		"empty label":               {"mesh: {labels: {deny: ['']}}", "mesh.labels.deny[0]: the glob is empty; use * for any label"},
		"max instances":             {"mesh: {maxInstances: 5000}", "mesh.maxInstances: 5000 is not within 1 and 4096"},
		"service domain":            {"mesh: {domain: svc}", `mesh.domain: "svc" is under the cluster's own domain`},
		"two of a datacenter": {
			"sources: [{name: a, datacenter: dc1}, {name: b, address: 'b:1', datacenter: dc1}]",
			`sources[1].datacenter: hosts under dc1.consul belong to "a"; set another domain for one of them, or merge both`,
		},
		"shards":        {"kubernetes: {shards: -1}", "kubernetes.shards: -1 is not within 0 and 1000"},
		"writers":       {"kubernetes: {writers: 0}", "kubernetes.writers: 0 is not within 1 and 256"},
		"lease":         {"kubernetes: {leaderElection: {renewDeadline: 20s}}", "kubernetes.leaderElection.renewDeadline: 20s is not less than leaseDuration, 15s"},
		"admin address": {"admin: {address: x}", `admin.address: "x" is not host:port`},
		"log level":     {"log: {level: x}", `log.level: "x" is not one of debug, info, warn, error`},
		"two mistakes":  {"log: {level: x, format: z}", "log.level: \"x\" is not one of debug, info, warn, error\nlog.format: \"z\" is not one of text, json"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(test.content))
			if err == nil {
				t.Fatal("it was accepted")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "isthmus.yaml")
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: got %v", err)
	}
	if err := os.WriteFile(path, []byte("log: {level: x}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("bad file: got %v", err)
	}
}

// TestReferenceIsCurrent verifies that the generated page in docs/ matches the types. "make generate" updates it.
func TestReferenceIsCurrent(t *testing.T) {
	const page = "../../docs/reference/configuration.md"
	if *update {
		if err := os.WriteFile(page, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	onDisk, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(onDisk), Reference()); diff != "" {
		t.Errorf("%s is stale; run \"make generate\" (-page +code):\n%s", page, diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("sources: [{name: a, wait: 5m}]"))
	f.Add([]byte("mesh: {hosts: ['{{ .Name }}']}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := Parse(content)
		if err != nil {
			return
		}
		if _, err := c.MeshOptions(); err != nil {
			t.Errorf("a valid configuration makes no options: %v", err)
		}
	})
}
