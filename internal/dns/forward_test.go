package dns_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	miekg "github.com/miekg/dns"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// startConsul starts a real Consul with these services and returns the address of its DNS.
func startConsul(t *testing.T, options testbed.ConsulOptions, services ...*api.AgentServiceRegistration) string {
	t.Helper()
	testbed.Require(t, testbed.ConsulBinary)
	run := testbed.ForTest(t)
	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprint("127.0.0.1:", port)
	options.DNS = address
	agent, err := run.StartConsul(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range services {
		if err := agent.Client().Agent().ServiceRegister(service); err != nil {
			t.Fatal(err)
		}
	}
	return address
}

// TestForward verifies that unknown names below the domain of Consul are forwarded, and no other names.
func TestForward(t *testing.T) {
	options := defaults()
	options.MoreDomains = []string{"shop.example"}
	options.Forward = map[string][]string{"consul": {startConsul(t, testbed.ConsulOptions{}, &api.AgentServiceRegistration{
		ID: "1", Name: "legacy", Address: "10.7.7.7", Port: 99, Tags: []string{"blue"},
	})}}
	f := start(t, options, student)
	for _, c := range []struct {
		name  string
		kind  uint16
		rcode int
		first string
	}{
		{"legacy.service.consul.", miekg.TypeA, miekg.RcodeSuccess, "10.7.7.7"},
		{"blue.legacy.service.consul.", miekg.TypeA, miekg.RcodeSuccess, "10.7.7.7"},
		{"student.service.consul.", miekg.TypeA, miekg.RcodeSuccess, "244.1.2.3"},
		{"missing.service.consul.", miekg.TypeA, miekg.RcodeNameError, ""},
		{"missing.shop.example.", miekg.TypeA, miekg.RcodeNameError, ""},
		{"www.example.com.", miekg.TypeA, miekg.RcodeRefused, ""},
	} {
		for _, network := range []string{"udp", "tcp"} {
			reply := f.ask(t, network, query(c.name, c.kind))
			if reply.Rcode != c.rcode {
				t.Errorf("%s over %s: %s", c.name, network, reply)
			}
			if c.first != "" && (len(reply.Answer) == 0 || reply.Answer[0].(*miekg.A).A.String() != c.first) {
				t.Errorf("%s over %s: %s, want %s", c.name, network, reply, c.first)
			}
		}
	}
}

// TestForwardByDomain verifies that a query is forwarded to the Consul of its domain only.
func TestForwardByDomain(t *testing.T) {
	legacy := func(address string) *api.AgentServiceRegistration {
		return &api.AgentServiceRegistration{ID: "1", Name: "legacy", Address: address, Port: 99}
	}
	options := defaults()
	options.Domains = []string{"consul", "partner", "missing.partner"}
	options.Forward = map[string][]string{
		"consul":  {startConsul(t, testbed.ConsulOptions{}, legacy("10.7.7.7"))},
		"partner": {startConsul(t, testbed.ConsulOptions{HCL: `domain = "partner"`}, legacy("10.8.8.8"))},
	}
	options.Forward["east.consul"] = options.Forward["partner"]
	f := start(t, options, student)
	for name, want := range map[string]string{
		"legacy.service.consul.":          "NOERROR legacy.service.consul. 5 IN A 10.7.7.7",
		"legacy.service.partner.":         "NOERROR legacy.service.partner. 5 IN A 10.8.8.8",
		"legacy.service.east.consul.":     "REFUSED",
		"legacy.service.dc1.consul.":      "NOERROR legacy.service.dc1.consul. 5 IN A 10.7.7.7",
		"other.service.partner.":          "NXDOMAIN",
		"legacy.service.missing.partner.": "NXDOMAIN",
	} {
		reply := f.ask(t, "udp", query(name, miekg.TypeA))
		got := miekg.RcodeToString[reply.Rcode]
		for _, record := range reply.Answer {
			record.Header().Ttl = 5
			got += " " + strings.Join(strings.Fields(record.String()), " ")
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestForwardFails verifies that a name is not denied while no DNS server of Consul answers, and that known names are still
// answered.
func TestForwardFails(t *testing.T) {
	unused, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unused.Close()
	options := defaults()
	options.Forward = map[string][]string{"consul": {unused.LocalAddr().String()}}
	f := start(t, options, student)
	if reply := f.ask(t, "udp", query("missing.service.consul.", miekg.TypeA)); reply.Rcode != miekg.RcodeServerFailure {
		t.Error(reply)
	}
	if reply := f.ask(t, "udp", query("student.service.consul.", miekg.TypeA)); len(reply.Answer) != 1 {
		t.Error(reply)
	}
}
