package dns

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// TestForeignRecordsAreDropped verifies that a forwarded answer has only the records that belong to the query and to the
// domain of the server that answered.
func TestForeignRecordsAreDropped(t *testing.T) {
	f := &forwarder{known: func(name string) bool { return name == "student.service.consul." }}
	for name, test := range map[string]struct {
		qtype              uint16
		answer, ns, extra  []string
		wantAnswer, wantNs []string
		wantExtra          []string
	}{
		"another domain": {
			qtype: dns.TypeA, answer: []string{"q.consul. A 10.0.0.1", "www.bank.example. A 6.6.6.7"},
			extra: []string{"www.bank.example. A 6.6.6.7"}, ns: []string{"bank.example. NS evil.example.", "com. NS evil.example."},
			wantAnswer: []string{"q.consul. A 10.0.0.1"},
		},
		"another name of the domain": {
			qtype: dns.TypeA, answer: []string{"Q.consul. A 10.0.0.1", "other.consul. A 6.6.6.7"}, extra: []string{"other.consul. A 6.6.6.7"},
			wantAnswer: []string{"Q.consul. A 10.0.0.1"},
		},
		"alias outside the domain": {
			qtype: dns.TypeA, answer: []string{"q.consul. CNAME www.bank.example.", "www.bank.example. A 6.6.6.7"},
			wantAnswer: []string{"q.consul. CNAME www.bank.example."},
		},
		"alias of a name of this server": {
			qtype: dns.TypeA, answer: []string{"student.service.consul. A 6.6.6.7", "q.consul. CNAME student.service.consul."},
			wantAnswer: []string{"q.consul. CNAME student.service.consul."},
		},
		"aliases in any order": {
			qtype:      dns.TypeA,
			answer:     []string{"c.consul. A 10.0.0.1", "b.consul. CNAME c.consul.", "q.consul. CNAME b.consul."},
			wantAnswer: []string{"c.consul. A 10.0.0.1", "b.consul. CNAME c.consul.", "q.consul. CNAME b.consul."},
		},
		"SRV with the addresses of its targets": {
			qtype: dns.TypeSRV, answer: []string{"q.consul. SRV 1 1 80 n1.node.dc1.consul."},
			extra:      []string{"n1.node.dc1.consul. A 10.0.0.1", "n1.node.dc1.consul. TXT \"a=b\"", "n2.node.dc1.consul. A 6.6.6.7"},
			wantAnswer: []string{"q.consul. SRV 1 1 80 n1.node.dc1.consul."},
			wantExtra:  []string{"n1.node.dc1.consul. A 10.0.0.1", "n1.node.dc1.consul. TXT \"a=b\""},
		},
		"denial": {
			qtype: dns.TypeA, ns: []string{"consul. SOA ns.consul. h.consul. 1 2 3 4 5"}, wantNs: []string{"consul. SOA ns.consul. h.consul. 1 2 3 4 5"},
		},
		"another type": {qtype: dns.TypeA, answer: []string{"q.consul. NS ns.consul."}},
	} {
		t.Run(name, func(t *testing.T) {
			query := new(dns.Msg).SetQuestion("q.consul.", test.qtype)
			response := new(dns.Msg).SetReply(query)
			response.Answer, response.Ns, response.Extra = parse(t, test.answer), parse(t, test.ns), parse(t, test.extra)
			reply := f.relay(query, response, "consul.")
			for section, records := range map[string][2][]dns.RR{
				"answer": {parse(t, test.wantAnswer), reply.Answer}, "authority": {parse(t, test.wantNs), reply.Ns},
				"additional": {parse(t, test.wantExtra), reply.Extra},
			} {
				if diff := cmp.Diff(lines(records[0]), lines(records[1])); diff != "" {
					t.Errorf("%s (-want +got):\n%s", section, diff)
				}
			}
		})
	}
}

func parse(t *testing.T, texts []string) (records []dns.RR) {
	t.Helper()
	for _, text := range texts {
		name, rest, _ := strings.Cut(text, " ")
		record, err := dns.NewRR(name + " 5 IN " + rest)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	return records
}

func lines(records []dns.RR) (texts []string) {
	for _, record := range slices.Clone(records) {
		texts = append(texts, record.String())
	}
	return texts
}
