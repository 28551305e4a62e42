package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/isthmus-mesh/isthmus/internal/testbed"
)

// ask asks a DNS server, and returns the code of its answer and its records without their times, sorted; those of the
// additional section are behind a plus.
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

// awaitAnswer waits until a server answers so.
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

// startNames starts an isthmus that answers DNS, by a configuration, and returns where.
func (w *world) startNames(t *testing.T, config string, args ...string) string {
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

// TestDNSAnswersAsConsul holds that who is pointed at isthmus in place of Consul's own DNS gets the same answers, where it
// answers instances; and that a cluster's CoreDNS gets them by a stub domain.
func TestDNSAnswersAsConsul(t *testing.T) {
	testbed.Require(t, testbed.ConsulBinary, testbed.IsthmusBinary, testbed.CoreDNSBinary)
	w := &world{run: testbed.ForTest(t)}
	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	consul := fmt.Sprint("127.0.0.1:", port)
	if w.consul, err = w.run.StartConsul(t.Context(), testbed.ConsulOptions{DNS: consul}); err != nil {
		t.Fatal(err)
	}
	w.register(t,
		instance{service: "shop", id: "shop-1", address: "10.6.0.1", port: 8080, weight: 3},
		instance{service: "shop", id: "shop-2", address: "10.6.0.2", port: 8081},
		instance{service: "shop", id: "shop-3", address: "10.6.0.3", port: 8080, health: "critical"},
		instance{service: "six", id: "six-1", address: "fd00::6", port: 90},
		instance{service: "Foo", id: "foo-1", address: "10.6.0.9", port: 90, tags: []string{"blue"}},
	)
	server := w.startNames(t, "dns: {answer: instances, forward: [{servers: ['"+consul+"']}]}", "--output", "stdout")
	core, err := w.run.StartCoreDNS(t.Context(), map[string]string{
		"consul": "  forward . " + server + "\n  cache 1", ".": "  template ANY ANY {\n    rcode NXDOMAIN\n  }",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, question := range []struct {
		name string
		kind uint16
	}{
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
		{"nobody.service.consul.", dns.TypeA},
	} {
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
