package meshtest

import (
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Values that an attacker may register, in addition to arbitrary ones.
var (
	hostileNames = []string{
		"web", "Web", "web.", "web-x", "web--0123456789abcdef0123", "a.service.dc2", "web.service.consul", "*", "*.consul", "localhost",
		"kubernetes", "127", "0x7f000001", "bank.default.svc.cluster.local", "svc", "中文", "", "-", strings.Repeat("x", 64), strings.Repeat("x", 2000),
	}
	hostileAddresses = []string{
		"10.0.0.1", "10.0.0.2", "2001:db8::1", "vm-17", "vm-17.example.com", "wpad", "web.default", "web-0.web.default", "10-0-0-1.default.pod", "64:ff9b:1::a9fe:a9fe", "::ffff:0:127.0.0.1", "2001:0:a00:1::80ff:fffe", "fd00::5efe:127.0.0.1", "127.0.0.1", "::1", "[::ffff:127.0.0.1]", "::127.0.0.1", "64:ff9b::a9fe:a9fe",
		"2002:7f00:1::", "169.254.169.254", "fe80::1", "fe80::1%eth0", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "localhost.",
		"db.localhost", "metadata.google.internal", "kubernetes.default.svc", "bank.cluster.local", "unix:///run/x.sock", "0x7f.1", "",
	}
	hostileKeys = []string{
		"version", "app", "protocol", "zone", "region", "isthmus-namespace", "team", "a b", "a-b", "security.istio.io/tlsMode",
		"Service.Istio.io/canonical-name", "topology.istio.io/network", "networking.istio.io/x", "istio", "istio-locality", "k8s-app",
		"gRPC_port", "grpc.port", "management-port", "grpc_protocol", "secure", "default", "native", "grpc--2", "http", "kubernetes.io/x", "isthmus-mesh.github.io/service", "example.com/x", "/", "", strings.Repeat("k", 2000),
	}
	hostileValues = []string{
		"", "true", "9090", "80", "8080", "v1", "istio", "grpc", "MYSQL", "tls", "kube-system", "blue", "a/b", "*", "a,b", "\xff", "日本", strings.Repeat("v", 63), strings.Repeat("v", 64),
	}
	hostilePortTags = []string{
		"http", "grpc", "metrics", "default", "native", "Native--2", "untagged", "", "isthmus-port=http", "isthmus-port=native", "isthmus-port=" + strings.Repeat("x", 48),
		strings.Repeat("y", 63), "日本", "tag.http=true", "blue", "db",
	}
	hostilePorts  = []int{80, 8080, 443, 0, -1, 65535, 65536, 1 << 40}
	hostileShares = []int{1, 0, -1, 10, 65536, 1 << 40}
	hostileChecks = []string{"http", "grpc", "tcp", "ttl", "h2ping"}
	hostileTags   = []string{"master", "MASTER", "replica", "web", "service", "*", "a.b", "_tcp", "traefik.enable=true", "${X}", "-", "", strings.Repeat("t", 63), strings.Repeat("t", 64)}
	templateTexts = []string{"{{ .Name }}", "{{ .Name }}-x", "{{ .Name }}.service.consul", "{{ .Name }}.{{ .Datacenter }}.{{ .Domain }}", "x.{{ .Name }}.default.svc", "{{ .Name }}.web.service.consul"}
)

// Hostile derives a service and options from arbitrary bytes, for fuzz tests. The fields mix hostile values, usual values
// and the bytes themselves. One further instance is always valid.
func Hostile(data []byte) Case {
	d := dice{data}
	c := of("hostile", catalog.Service{Key: catalog.Key{Source: "consul", Name: d.text(hostileNames)}, Datacenter: d.text(hostileValues)})
	d.options(&c.Options)
	for range d.below(6) {
		c.Service.Instances = append(c.Service.Instances, d.instance())
	}
	right := instance("~right", address("10.1.0.1"))
	c.Service.Instances = append(c.Service.Instances, right)
	// Sources report each ID once, whatever its case.
	slices.SortFunc(c.Service.Instances, func(a, b catalog.Instance) int { return a.ID.Fold().Compare(b.ID.Fold()) })
	c.Service.Instances = slices.CompactFunc(c.Service.Instances, func(a, b catalog.Instance) bool { return a.ID.Fold() == b.ID.Fold() })
	slices.SortFunc(c.Service.Instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
	return c
}

// dice derives choices from bytes.
type dice struct{ left []byte }

func (d *dice) below(n int) int {
	if len(d.left) == 0 {
		return 0
	}
	first := d.left[0]
	d.left = d.left[1:]
	return int(first) % n
}

func (d *dice) yes() bool { return d.below(2) == 1 }

// text returns one of the given texts or some of the bytes.
func (d *dice) text(texts []string) string {
	at := d.below(len(texts) + 3)
	if at < len(texts) {
		return texts[at]
	}
	n := min(d.below(256), len(d.left))
	text := string(d.left[:n])
	d.left = d.left[n:]
	return text
}

func (d *dice) options(o *mesh.Options) {
	o.PassingOnly = d.yes()
	if d.yes() {
		inline(o)
	}
	if d.yes() {
		o.MaxInstances = 1 + d.below(3)
	}
	for range d.below(4) {
		hostTemplates(templateTexts[d.below(len(templateTexts))])(o)
	}
	if d.yes() {
		o.Registries = []mesh.Registry{
			{Source: "east", Domain: "consul", Datacenter: d.text(hostileValues)},
			{Source: "consul", Domain: "consul", Datacenter: d.text(hostileValues)},
		}
	}
	if d.yes() {
		o.Addresses.Allow = ranges("127.0.0.0/8", "169.254.0.0/16", "*")
		o.Labels.Allow = []string{"*"}
	}
	if d.yes() {
		ruled(o)
	}
	if d.yes() {
		o.TagHosts = []string{"*"}
	}
	if d.yes() {
		o.ExternalServices = []mesh.ExternalService{{Services: []string{"*"}, ExternalNodes: d.yes(), Host: "api.example.com"}}
	}
	if d.yes() {
		callers := []mesh.Protocol{mesh.HTTP, mesh.GRPC, mesh.TCP}
		o.TLSOrigination = []mesh.TLSOrigination{{Services: []string{"*"}, Force: d.yes(), Protocol: callers[d.below(len(callers))]}}
	}
}

func (d *dice) instance() catalog.Instance {
	i := catalog.Instance{
		ID: catalog.InstanceID{
			Datacenter: d.text(hostileValues), Partition: d.text(nil), Namespace: d.text(nil), Node: d.text(hostileNames), ServiceID: d.text(hostileNames),
		},
		Address: d.text(hostileAddresses),
		Port:    hostilePorts[d.below(len(hostilePorts))],
		Weights: catalog.Weights{Passing: hostileShares[d.below(len(hostileShares))], Warning: hostileShares[d.below(len(hostileShares))]},
		Health:  catalog.Health(d.below(5)),
		Meta:    map[string]string{}, NodeMeta: map[string]string{},
		Locality: catalog.Locality{Region: d.text(hostileValues), Zone: d.text(hostileValues)},
	}
	for range d.below(8) {
		i.Meta[d.text(hostileKeys)] = d.text(hostileValues)
		i.Ports = append(i.Ports, catalog.Port{Name: d.text(hostileKeys), Number: hostilePorts[d.below(len(hostilePorts))], Default: d.yes()})
		i.NodeMeta[d.text(hostileKeys)] = d.text(hostileValues)
		i.Tags = append(i.Tags, d.text(hostileKeys)+"="+d.text(hostileValues))
		i.Checks = append(i.Checks, catalog.Check{Type: hostileChecks[d.below(len(hostileChecks))], Port: hostilePorts[d.below(len(hostilePorts))], TLS: d.yes()})
	}
	for range d.below(4) {
		i.Tags = append(i.Tags, d.text(hostileTags))
	}
	if d.below(32) == 31 {
		i.Tags = append(i.Tags, numbered(300)...)
	}
	if d.yes() {
		i.Tags = append(i.Tags, d.text(hostilePortTags))
	}
	for at := range i.Ports {
		if d.below(4) == 3 {
			i.Ports[at].Protocol, i.Ports[at].Address = d.text(hostileValues), d.text(hostileAddresses)
		}
	}
	return i
}
