package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// ask sends a query to a DNS server. It returns the response code and the records without their TTLs, sorted. Records
// of the additional section follow a plus.
func ask(ctx context.Context, server, network, name string, kind uint16) ([]string, error) {
	query := new(dns.Msg).SetQuestion(name, kind)
	query.SetEdns0(1232, false)
	client := dns.Client{Net: network, Timeout: 5 * time.Second}
	reply, _, err := client.ExchangeContext(ctx, query, server)
	if err != nil {
		return nil, err
	}
	var records []string
	for mark, section := range map[string][]dns.RR{"": reply.Answer, "+": reply.Extra} {
		for _, record := range section {
			switch r := record.(type) {
			case *dns.A:
				records = append(records, fmt.Sprint(mark, r.Hdr.Name, " A ", r.A))
			case *dns.AAAA:
				records = append(records, fmt.Sprint(mark, r.Hdr.Name, " AAAA ", r.AAAA))
			case *dns.SRV:
				records = append(records, fmt.Sprint(mark, r.Hdr.Name, " SRV ", r.Priority, r.Weight, r.Port, " ", r.Target))
			case *dns.PTR:
				records = append(records, fmt.Sprint(mark, r.Hdr.Name, " PTR ", r.Ptr))
			}
		}
	}
	slices.Sort(records)
	return append([]string{dns.RcodeToString[reply.Rcode]}, records...), nil
}

// awaitAnswer waits until a server gives the expected answer.
func awaitAnswer(t *testing.T, server, name string, kind uint16, want ...string) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		eventually(t, func(ctx context.Context) error {
			got, err := ask(ctx, server, network, name, kind)
			if err != nil {
				return err
			}
			if diff := cmp.Diff(want, got); diff != "" {
				return fmt.Errorf("%s %s by %s at %s (-want +got):\n%s", name, dns.TypeToString[kind], network, server, diff)
			}
			return nil
		})
	}
}

// startNames starts an isthmus with DNS and a configuration, and returns its DNS address.
func (w *harness) startNames(t *testing.T, config string, args ...string) string {
	t.Helper()
	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	server := fmt.Sprint("127.0.0.1:", port)
	path, err := w.run.Config(config)
	if err != nil {
		t.Fatal(err)
	}
	w.isthmus, err = w.run.StartIsthmus(w.consul, w.kube, append(args, "--dns-addr", server, "--config", path)...)
	if err == nil {
		err = w.isthmus.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// startConsulOnly starts a Consul with its own DNS server, and returns its DNS address.
func startConsulOnly(t *testing.T) (w *harness, consul string) {
	t.Helper()
	testbed.Require(t, testbed.ConsulBinary, testbed.IsthmusBinary, testbed.CoreDNSBinary)
	w = &harness{run: testbed.ForTest(t)}
	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	consul = fmt.Sprint("127.0.0.1:", port)
	if w.consul, err = w.run.StartConsul(t.Context(), testbed.ConsulOptions{DNS: consul}); err != nil {
		t.Fatal(err)
	}
	return w, consul
}

// elsewhere is the block of a CoreDNS for all names outside the domains of isthmus.
const elsewhere = "  template ANY ANY {\n    rcode NXDOMAIN\n  }"

// TestDNSAnswersAsConsul verifies that clients of isthmus get the same answers as clients of Consul's DNS, if isthmus
// answers with instances, and that the CoreDNS of a cluster gets them by a stub domain.
func TestDNSAnswersAsConsul(t *testing.T) {
	w, consul := startConsulOnly(t)
	w.register(t,
		instance{service: "shop", id: "shop-1", address: "10.6.0.1", port: 8080, weight: 3},
		instance{service: "shop", id: "shop-2", address: "10.6.0.2", port: 8081},
		instance{service: "shop", id: "shop-3", address: "10.6.0.3", port: 8080, health: "critical"},
		instance{service: "six", id: "six-1", address: "fd00::6", port: 90},
		instance{service: "Foo", id: "foo-1", address: "10.6.0.9", port: 90, tags: []string{"blue"}},
	)
	server := w.startNames(t, "dns: {answer: instances, forward: [{servers: ['"+consul+"']}]}", "--output", "stdout")
	core, err := w.run.StartCoreDNS(t.Context(), map[string]string{
		"consul": "  forward . " + server + "\n  cache 1", ".": elsewhere,
	})
	if err != nil {
		t.Fatal(err)
	}
	type question struct {
		name string
		kind uint16
	}
	questions := []question{
		{"shop.service.consul.", dns.TypeA},
		{"shop.service.consul.", dns.TypeAAAA},
		{"shop.service.consul.", dns.TypeSRV},
		{"_shop._tcp.service.consul.", dns.TypeSRV},
		{"six.service.consul.", dns.TypeA},
		{"six.service.consul.", dns.TypeAAAA},
		{"six.service.consul.", dns.TypeSRV},
		{"foo.service.consul.", dns.TypeA},
		{"blue.foo.service.consul.", dns.TypeSRV},
		{"0a060001.addr.dc1.consul.", dns.TypeA},
		{"node.node.consul.", dns.TypeA},
		{"unknown.service.consul.", dns.TypeA},
	}
	if !testbed.ConsulIs(t).Before(testbed.ConsulPorts) {
		w.register(t, instance{service: "ports", id: "ports-1", address: "10.6.0.7", ports: api.ServicePorts{
			{Name: "http", Port: 8080, Default: true}, {Name: "metrics", Port: 9100},
		}})
		questions = append(questions, question{"_ports._tcp.service.metrics.port.consul.", dns.TypeSRV},
			question{"_ports._tcp.service.nothing.port.consul.", dns.TypeSRV})
	}
	for _, question := range questions {
		want, err := ask(t.Context(), consul, "udp", question.name, question.kind)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(question.name, want)
		awaitAnswer(t, server, question.name, question.kind, want...)
		awaitAnswer(t, core.Address, question.name, question.kind, want...)
	}
	w.deregister(t, instance{id: "shop-1"})
	awaitAnswer(t, core.Address, "shop.service.consul.", dns.TypeA, "NOERROR", "shop.service.consul. A 10.6.0.2")
}

// TestServiceOfDNS verifies that the Service of deploy/dns.yaml is valid and has the address that docs/dns.md
// configures in CoreDNS.
func TestServiceOfDNS(t *testing.T) {
	manifest, err := os.ReadFile("../../deploy/dns.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var service corev1.Service
	if err := yaml.UnmarshalStrict(manifest, &service); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/dns.md")
	if err != nil {
		t.Fatal(err)
	}
	var protocols []corev1.Protocol
	for _, port := range service.Spec.Ports {
		if port.Port == 53 {
			protocols = append(protocols, port.Protocol)
		}
	}
	asked := strings.Count(string(page), "forward . "+service.Spec.ClusterIP+"\n")
	if asked != 3 || !slices.Equal(protocols, []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP}) {
		t.Errorf("%d blocks of CoreDNS ask %s, which answers by %v", asked, service.Spec.ClusterIP, protocols)
	}
}

// TestStubDomain verifies that the CoreDNS blocks of docs/dns.md give a cluster the virtual addresses and their names,
// and that a pod with the search domain finds a service by its bare name.
func TestStubDomain(t *testing.T) {
	w, _ := startConsulOnly(t)
	w.register(t, instance{service: "shop", id: "shop-1", address: "10.6.0.1", port: 8080})
	server := w.startNames(t, "virtualAddresses: {ipv6: 'fd12:3456:789a:1::/64'}", "--output", "stdout")
	page, err := os.ReadFile("../../docs/dns.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{".": elsewhere}
	for _, block := range regexp.MustCompile(`(?ms)^    (\S+):53 \{\n(.*?)^    \}`).FindAllStringSubmatch(string(page), -1) {
		blocks[block[1]] = strings.ReplaceAll(block[2], "10.96.0.53", server)
	}
	if len(blocks) != 4 {
		t.Fatalf("the page has other blocks than expected: %q", blocks)
	}
	core, err := w.run.StartCoreDNS(t.Context(), blocks)
	if err != nil {
		t.Fatal(err)
	}
	const host = "shop.service.consul."
	addresses := map[uint16]string{}
	for kind, prefix := range map[uint16]string{dns.TypeA: "244.0.0.0/6", dns.TypeAAAA: "fd12:3456:789a:1::/64"} {
		eventually(t, func(ctx context.Context) error {
			answer, err := ask(ctx, server, "udp", host, kind)
			if err != nil || len(answer) != 2 {
				return fmt.Errorf("%q: %w", answer, err)
			}
			addresses[kind] = answer[1][strings.LastIndex(answer[1], " ")+1:]
			return nil
		})
		if ip := netip.MustParseAddr(addresses[kind]); !netip.MustParsePrefix(prefix).Contains(ip) {
			t.Errorf("%s is not of %s", ip, prefix)
		}
		record := " " + dns.TypeToString[kind] + " " + addresses[kind]
		awaitAnswer(t, core.Address, host, kind, "NOERROR", host+record)
		reverse, err := dns.ReverseAddr(addresses[kind])
		if err != nil {
			t.Fatal(err)
		}
		awaitAnswer(t, core.Address, reverse, dns.TypePTR, "NOERROR", reverse+" PTR "+host)

		// The resolver of a pod takes the first name that exists.
		resolver := dns.ClientConfig{Ndots: 5, Search: []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local", "service.consul"}}
		var answer []string
		for _, name := range resolver.NameList("shop") {
			if answer, err = ask(t.Context(), core.Address, "udp", name, kind); err != nil {
				t.Fatal(err)
			}
			if answer[0] != "NXDOMAIN" {
				break
			}
		}
		if diff := cmp.Diff([]string{"NOERROR", host + record}, answer); diff != "" {
			t.Errorf("by its bare name (-want +got):\n%s", diff)
		}
	}
	awaitAnswer(t, core.Address, "_shop._tcp.service.consul.", dns.TypeSRV, "NOERROR",
		"+"+host+" A "+addresses[dns.TypeA], "+"+host+" AAAA "+addresses[dns.TypeAAAA], "_shop._tcp.service.consul. SRV 1 1 8080 "+host)
	awaitAnswer(t, core.Address, "unknown.service.consul.", dns.TypeA, "NXDOMAIN")
}
