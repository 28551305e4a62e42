package dns_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// consul starts a real Consul that has these services, and returns where its DNS answers.
func consul(t *testing.T, options testbed.ConsulOptions, services ...*api.AgentServiceRegistration) string {
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

// Names that aren't known are Consul's to answer, below its own domain; nothing else is asked of it.
func TestForward(t *testing.T) {
	options := defaults()
	options.MoreDomains = []string{"shop.example"}
	options.Forward = map[string][]string{"consul": {consul(t, testbed.ConsulOptions{}, &api.AgentServiceRegistration{
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
		{"nobody.service.consul.", miekg.TypeA, miekg.RcodeNameError, ""},
		{"nobody.shop.example.", miekg.TypeA, miekg.RcodeNameError, ""},
		{"www.example.com.", miekg.TypeA, miekg.RcodeRefused, ""},
	} {
		for _, network := range []string{"udp", "tcp"} {
			reply := f.ask(t, network, query(c.name, c.kind))
			if reply.Rcode != c.rcode {
				t.Errorf("%s by %s: %s", c.name, network, reply)
			}
			if c.first != "" && (len(reply.Answer) == 0 || reply.Answer[0].(*miekg.A).A.String() != c.first) {
				t.Errorf("%s by %s: %s, want %s", c.name, network, reply, c.first)
			}
		}
	}
}

// Each Consul is asked about its own domain: another one's refusal, or denial, is nobody's answer.
func TestForwardByDomain(t *testing.T) {
	legacy := func(address string) *api.AgentServiceRegistration {
		return &api.AgentServiceRegistration{ID: "1", Name: "legacy", Address: address, Port: 99}
	}
	options := defaults()
	options.Domains = []string{"consul", "partner", "nobody.partner"}
	options.Forward = map[string][]string{
		"consul":  {consul(t, testbed.ConsulOptions{}, legacy("10.7.7.7"))},
		"partner": {consul(t, testbed.ConsulOptions{HCL: `domain = "partner"`}, legacy("10.8.8.8"))},
	}
	options.Forward["east.consul"] = options.Forward["partner"]
	f := start(t, options, student)
	for name, want := range map[string]string{
		"legacy.service.consul.":         "NOERROR legacy.service.consul. 5 IN A 10.7.7.7",
		"legacy.service.partner.":        "NOERROR legacy.service.partner. 5 IN A 10.8.8.8",
		"legacy.service.east.consul.":    "REFUSED",
		"legacy.service.dc1.consul.":     "NOERROR legacy.service.dc1.consul. 5 IN A 10.7.7.7",
		"other.service.partner.":         "NXDOMAIN",
		"legacy.service.nobody.partner.": "NXDOMAIN",
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

// Where nobody answers, it isn't said that there is no such name; what is known is answered all the same.
func TestForwardToNobody(t *testing.T) {
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	options := defaults()
	options.Forward = map[string][]string{"consul": {gone.LocalAddr().String()}}
	f := start(t, options, student)
	if reply := f.ask(t, "udp", query("nobody.service.consul.", miekg.TypeA)); reply.Rcode != miekg.RcodeServerFailure {
		t.Error(reply)
	}
	if reply := f.ask(t, "udp", query("student.service.consul.", miekg.TypeA)); len(reply.Answer) != 1 {
		t.Error(reply)
	}
}
