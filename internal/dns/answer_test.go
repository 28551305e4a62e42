package dns_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	miekg "github.com/miekg/dns"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

var student = served{"student", []string{"244.1.2.3", "fd00:1::7"}, instances(2)}

// text returns a reply as lines of text: the response code and the records, with bars between the sections.
func text(reply *miekg.Msg) []string {
	lines := []string{miekg.RcodeToString[reply.Rcode]}
	for i, section := range [][]miekg.RR{reply.Answer, reply.Ns, reply.Extra} {
		var records []string
		for _, rr := range section {
			if soa, ok := rr.(*miekg.SOA); ok {
				soa.Serial = 0
			}
			if rr.Header().Rrtype != miekg.TypeOPT {
				records = append(records, strings.Join(strings.Fields(rr.String()), " "))
			}
		}
		slices.Sort(records)
		if i > 0 {
			lines = append(lines, "|")
		}
		lines = append(lines, records...)
	}
	return lines
}

const (
	soa     = "consul. 3 IN SOA ns.consul. hostmaster.consul. 0 3600 600 86400 3"
	bareSOA = "student. 3 IN SOA ns.student. hostmaster.student. 0 3600 600 86400 3"
)

// TestAnswers verifies the replies with virtual addresses, over UDP and TCP.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name string
		kind uint16
		want string
	}{
		{"student.service.consul.", miekg.TypeA, "NOERROR;student.service.consul. 5 IN A 244.1.2.3;|;|"},
		{"student.service.consul.", miekg.TypeAAAA, "NOERROR;student.service.consul. 5 IN AAAA fd00:1::7;|;|"},
		{"Student.SERVICE.consul.", miekg.TypeA, "NOERROR;Student.SERVICE.consul. 5 IN A 244.1.2.3;|;|"},
		{"student.", miekg.TypeA, "NOERROR;student. 5 IN A 244.1.2.3;|;|"},
		{"student.", miekg.TypeTXT, "NOERROR;|;" + bareSOA + ";|"},
		{"student.service.consul.", miekg.TypeSRV, "NOERROR;student.service.consul. 5 IN SRV 1 1 9098 student.service.consul.;|;|;student.service.consul. 5 IN A 244.1.2.3;student.service.consul. 5 IN AAAA fd00:1::7"},
		{"_student._tcp.service.consul.", miekg.TypeSRV, "NOERROR;_student._tcp.service.consul. 5 IN SRV 1 1 9098 student.service.consul.;|;|;student.service.consul. 5 IN A 244.1.2.3;student.service.consul. 5 IN AAAA fd00:1::7"},
		{"_student._tcp.service.consul.", miekg.TypeA, "NOERROR;|;" + soa + ";|"},
		{"_student._udp.service.consul.", miekg.TypeSRV, "NXDOMAIN;|;" + soa + ";|"},
		{"4four.service.consul.", miekg.TypeAAAA, "NOERROR;|;" + soa + ";|"},
		{"4four.service.consul.", miekg.TypeA, "NOERROR;4four.service.consul. 5 IN A 244.9.9.9;|;|"},
		{"service.consul.", miekg.TypeA, "NOERROR;|;" + soa + ";|"},
		{"consul.", miekg.TypeSOA, "NOERROR;" + soa + ";|;|"},
		{"consul.", miekg.TypeA, "NOERROR;|;" + soa + ";|"},
		{"_tcp.service.consul.", miekg.TypeA, "NOERROR;|;" + soa + ";|"},
		{"addr.consul.", miekg.TypeA, "NOERROR;|;" + soa + ";|"},
		{"dc1.consul.", miekg.TypeNS, "NOERROR;|;" + soa + ";|"},
		{"addr.dc1.consul.", miekg.TypeA, "NOERROR;|;" + soa + ";|"},
		{"service.metrics.port.consul.", miekg.TypeA, "NOERROR;|;" + soa + ";|"},
		{"_tcp.consul.", miekg.TypeA, "NOERROR;|;" + soa + ";|"},
		{"_tcp.missing.consul.", miekg.TypeA, "NXDOMAIN;|;" + soa + ";|"},
		{"addr.dc2.consul.", miekg.TypeA, "NXDOMAIN;|;" + soa + ";|"},
		{"missing.service.consul.", miekg.TypeA, "NXDOMAIN;|;" + soa + ";|"},
		{"a.student.service.consul.", miekg.TypeA, "NXDOMAIN;|;" + soa + ";|"},
		{"missing.", miekg.TypeA, "REFUSED;|;|"},
		{"notconsul.", miekg.TypeA, "REFUSED;|;|"},
		{"www.example.com.", miekg.TypeA, "REFUSED;|;|"},
		{".", miekg.TypeNS, "REFUSED;|;|"},
		{"student.service.consul.", miekg.TypeANY, `NOERROR;student.service.consul. 5 IN HINFO "RFC8482" "";|;|`},
		{"student.service.consul.", miekg.TypeAXFR, "REFUSED;|;|"},
		{"7f000001.addr.dc1.consul.", miekg.TypeA, "NOERROR;7f000001.addr.dc1.consul. 5 IN A 127.0.0.1;|;|"},
		{"7f000001.addr.dc2.consul.", miekg.TypeA, "NXDOMAIN;|;" + soa + ";|"},
		{"7f000001.addr.consul.", miekg.TypeAAAA, "NOERROR;|;" + soa + ";|"},
		{"7f0000.addr.consul.", miekg.TypeA, "NXDOMAIN;|;" + soa + ";|"},
		{"3.2.1.244.in-addr.arpa.", miekg.TypePTR, "NOERROR;3.2.1.244.in-addr.arpa. 5 IN PTR student.service.consul.;|;|"},
		{"4.2.1.244.in-addr.arpa.", miekg.TypePTR, "NXDOMAIN;|;4.2.1.244.in-addr.arpa. 3 IN SOA ns.4.2.1.244.in-addr.arpa. hostmaster.4.2.1.244.in-addr.arpa. 0 3600 600 86400 3;|"},
		{"1.0.0.10.in-addr.arpa.", miekg.TypePTR, "REFUSED;|;|"},
		{"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa.", miekg.TypePTR, "NOERROR;7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa. 5 IN PTR student.service.consul.;|;|"},
	} {
		t.Run(strings.Trim(c.name, ".")+" "+miekg.TypeToString[c.kind], func(t *testing.T) {
			f := start(t, defaults(), student, served{"4four", []string{"244.9.9.9"}, instances(1)})
			for _, network := range []string{"udp", "tcp"} {
				reply := f.ask(t, network, query(c.name, c.kind))
				if diff := cmp.Diff(c.want, strings.Join(text(reply), ";")); diff != "" {
					t.Errorf("over %s (-want +got):\n%s", network, diff)
				}
				if reply.Authoritative == (reply.Rcode == miekg.RcodeRefused) || reply.RecursionAvailable {
					t.Errorf("over %s: authoritative %v, recursion available %v", network, reply.Authoritative, reply.RecursionAvailable)
				}
			}
		})
	}
}

// TestInstancesAreAnswered verifies the replies with the addresses of instances.
func TestInstancesAreAnswered(t *testing.T) {
	options := defaults()
	options.Instances = true
	named := instances(1)
	named[0].Address = "db.example.com"
	down := instances(1)
	down[0].Health = catalog.Critical
	f := start(t, options, student, served{"named", nil, named}, served{"down", []string{"244.0.0.9"}, down})
	for _, c := range []struct {
		name string
		kind uint16
		want string
	}{
		{"student.service.consul.", miekg.TypeA, "NOERROR;student.service.consul. 5 IN A 10.1.0.1;student.service.consul. 5 IN A 10.1.0.2;|;|"},
		{"student.service.consul.", miekg.TypeAAAA, "NOERROR;|;" + soa + ";|"},
		{"_student._tcp.service.consul.", miekg.TypeSRV, "NOERROR;_student._tcp.service.consul. 5 IN SRV 1 1 9098 0a010001.addr.dc1.consul.;_student._tcp.service.consul. 5 IN SRV 1 1 9098 0a010002.addr.dc1.consul.;|;|;0a010001.addr.dc1.consul. 5 IN A 10.1.0.1;0a010002.addr.dc1.consul. 5 IN A 10.1.0.2"},
		{"named.service.consul.", miekg.TypeA, "NOERROR;named.service.consul. 5 IN CNAME db.example.com.;|;|"},
		{"named.service.consul.", miekg.TypeSRV, "NOERROR;named.service.consul. 5 IN SRV 1 1 9098 db.example.com.;|;|"},
		{"down.service.consul.", miekg.TypeA, "NOERROR;|;" + soa + ";|"},
	} {
		if diff := cmp.Diff(c.want, strings.Join(text(f.ask(t, "udp", query(c.name, c.kind))), ";")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestInstancesAreShuffled verifies that each instance is the first of some answers, because many callers use the first one.
func TestInstancesAreShuffled(t *testing.T) {
	options := defaults()
	options.Instances = true
	f := start(t, options, served{"student", nil, instances(4)})
	firsts := map[string]bool{}
	for range 400 {
		firsts[f.ask(t, "udp", query("student.service.consul.", miekg.TypeA)).Answer[0].(*miekg.A).A.String()] = true
	}
	if len(firsts) != 4 {
		t.Errorf("only %d of 4 instances come first in an answer", len(firsts))
	}
}

// TestMixedInstances verifies that an answer is complete or marked as truncated, however the instances mix address families
// and share addresses.
func TestMixedInstances(t *testing.T) {
	options := defaults()
	options.Instances = true
	mixed := instances(1500)
	for i := range mixed {
		switch {
		case i == 700:
			mixed[i].Address = "fd00::1"
		case i >= 20 && i < 1480:
			mixed[i].Address = "10.9.9.9"
		}
	}
	f := start(t, options, served{"mixed", nil, mixed})
	for range 20 {
		for kind, want := range map[uint16]int{miekg.TypeA: 41, miekg.TypeAAAA: 1} {
			if reply := f.askWithCookie(t, query("mixed.service.consul.", kind)); len(reply.Answer) != want || reply.Truncated {
				t.Fatalf("%s: %d records, want %d, truncated %v", miekg.TypeToString[kind], len(reply.Answer), want, reply.Truncated)
			}
		}
	}
	if reply := f.ask(t, "udp", query("mixed.service.consul.", miekg.TypeSRV)); !reply.Truncated {
		t.Error("an answer with fewer than 1500 records over UDP is not marked as truncated")
	}
}

// TestPortsAreAnswered verifies that a query for a named port has the answer of Consul: at a virtual address the number for
// callers, and at each instance the number of the instance.
func TestPortsAreAnswered(t *testing.T) {
	ports := instances(2)
	for i := range ports {
		ports[i].Ports = []catalog.Port{{Name: "http", Number: 9098, Default: true}, {Name: "metrics", Number: 9100}}
	}
	for instances, first := range map[bool]string{
		false: "_student._tcp.service.metrics.port.consul. 5 IN SRV 1 1 9100 student.service.consul.",
		true:  "_student._tcp.service.metrics.port.consul. 5 IN SRV 1 1 9100 0a010001.addr.dc1.consul.",
	} {
		options := defaults()
		options.Instances = instances
		f := start(t, options, served{"student", []string{"244.1.2.3"}, ports})
		if got := text(f.ask(t, "udp", query("_student._tcp.service.metrics.port.consul.", miekg.TypeSRV))); got[0] != "NOERROR" || got[1] != first {
			t.Errorf("%q, want %q", got, first)
		}
		for name, want := range map[string]string{
			"_student._tcp.service.nothing.port.consul.": "NXDOMAIN", "_student._tcp.service.native--2.port.consul.": "NXDOMAIN",
			"_student._tcp.metrics.port.consul.": "NXDOMAIN", "_student._tcp.service.metrics.port.": "REFUSED",
		} {
			if got := text(f.ask(t, "udp", query(name, miekg.TypeSRV))); got[0] != want {
				t.Errorf("%s: %q, want %s", name, got, want)
			}
		}
	}
}
