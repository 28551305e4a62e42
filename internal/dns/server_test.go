package dns_test

import (
	"slices"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestLongAnswers verifies that an answer that is too long for UDP is truncated and marked, and is complete over TCP.
func TestLongAnswers(t *testing.T) {
	options := defaults()
	options.Instances = true
	f := start(t, options, served{"many", nil, instances(2000)}, served{"some", nil, instances(40)})
	for _, c := range []struct {
		name      string
		edns      uint16
		network   string
		truncated bool
		maxSize   int
	}{
		{"many", 0, "udp", true, 512},
		{"many", 65000, "udp", true, 1232},
		{"many", 100, "udp", true, 512},
		{"some", 0, "udp", true, 512},
		{"some", 1232, "udp", true, 212},
		{"some", 1232, "udp with a cookie", false, 1232},
		{"some", 1232, "tcp", false, 65535},
		{"many", 0, "tcp", false, 65535},
	} {
		m := query(c.name+".service.consul.", miekg.TypeA)
		if c.edns > 0 {
			m.SetEdns0(c.edns, true)
		}
		var reply *miekg.Msg
		if c.network == "udp with a cookie" {
			reply = f.askWithCookie(t, query(c.name+".service.consul.", miekg.TypeA))
		} else {
			reply = f.ask(t, c.network, m)
		}
		if reply.Compress = true; reply.Truncated != c.truncated || reply.Len() > c.maxSize || (reply.IsEdns0() != nil) != (c.edns > 0) {
			t.Errorf("%s over %s with a buffer of %d bytes: truncated %v, %d bytes, EDNS %v", c.name, c.network, c.edns, reply.Truncated, reply.Len(), reply.IsEdns0())
		}
		if want := map[string]int{"many": 2000, "some": 40}[c.name]; !c.truncated && len(reply.Answer) != want {
			t.Errorf("%s over %s: %d records, want %d", c.name, c.network, len(reply.Answer), want)
		}
	}
}

// TestUnsupportedQueries verifies the response codes of queries that the server does not support.
func TestUnsupportedQueries(t *testing.T) {
	f := start(t, defaults(), student)
	with := func(change func(*miekg.Msg)) *miekg.Msg {
		m := query("student.service.consul.", miekg.TypeA)
		change(m)
		return m
	}
	for name, c := range map[string]struct {
		query *miekg.Msg
		rcode int
	}{
		"EDNS version": {with(func(m *miekg.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }), miekg.RcodeBadVers},
		"update":       {with(func(m *miekg.Msg) { m.Opcode = miekg.OpcodeUpdate }), miekg.RcodeNotImplemented},
		"chaos":        {with(func(m *miekg.Msg) { m.Question[0].Qclass = miekg.ClassCHAOS }), miekg.RcodeRefused},
		"two questions": {
			with(func(m *miekg.Msg) { m.Question = append(m.Question, m.Question[0]) }), miekg.RcodeFormatError,
		},
	} {
		for _, network := range []string{"udp", "tcp"} {
			reply := f.ask(t, network, c.query)
			if reply.Rcode != c.rcode || len(reply.Answer) > 0 {
				t.Errorf("%s over %s: %s", name, network, reply)
			}
		}
	}
}

// TestNoDenialBeforeInitialSync verifies that no name is denied before the initial sync, and that a service is answered once
// its names are final, independent of other services.
func TestNoDenialBeforeInitialSync(t *testing.T) {
	f := prepare(t, defaults())
	f.state.unstable = map[string]bool{"student": true}
	other := served{"other", []string{"244.0.0.5"}, instances(1)}
	f.serve(t, student)
	f.serve(t, other)
	codes := func(want int, names ...string) func() bool {
		return func() bool {
			return !slices.ContainsFunc(names, func(name string) bool { return f.ask(t, "udp", query(name, miekg.TypeA)).Rcode != want })
		}
	}
	until(t, codes(miekg.RcodeSuccess, "other.service.consul.", "other.", "service.consul."))
	unknown := codes(miekg.RcodeServerFailure, "student.service.consul.", "student.", "missing.service.consul.", "missing.", "a.other.service.consul.")
	if !unknown() || f.Ready() == nil {
		t.Error("a name is answered or denied before the initial sync")
	}
	if reply := f.ask(t, "udp", query("other.service.consul.", miekg.TypeAAAA)); reply.Rcode != miekg.RcodeSuccess || len(reply.Answer) > 0 {
		t.Errorf("a type without records of a known service: %s", reply)
	}
	f.state.change(func() { f.state.unstable = nil })
	f.Synced()
	until(t, codes(miekg.RcodeSuccess, "student.service.consul.", "student."))
	f.state.change(func() { f.state.complete = true })
	f.Synced()
	until(t, func() bool { return f.Ready() == nil })
	if !codes(miekg.RcodeNameError, "missing.service.consul.")() {
		t.Error("a missing name is not denied after the initial sync")
	}
}

// TestYieldedHostsAreNotAnswered verifies that a host that another object owns is denied, and that the other hosts of the
// service are answered.
func TestYieldedHostsAreNotAnswered(t *testing.T) {
	f := start(t, defaults(), student)
	yield := func(hosts ...string) {
		f.state.change(func() { f.state.yielded = hosts })
		f.Notify(nameOf("student"))
	}
	answers := func(name string, kind uint16) string { return text(f.ask(t, "udp", query(name, kind)))[0] }
	yield("student.service.consul")
	until(t, func() bool { return answers("student.service.consul.", miekg.TypeA) == "NXDOMAIN" })
	if got := answers("student.", miekg.TypeA) + answers("_student._tcp.service.consul.", miekg.TypeSRV); got != "NOERRORNXDOMAIN" {
		t.Error(got)
	}
	if got := text(f.ask(t, "udp", query("3.2.1.244.in-addr.arpa.", miekg.TypePTR))); !strings.HasSuffix(got[1], " PTR student.") {
		t.Error(got)
	}
	yield("student.service.consul", "student")
	until(t, func() bool { return answers("student.", miekg.TypeA) == "REFUSED" })
	if got := answers("3.2.1.244.in-addr.arpa.", miekg.TypePTR); got != "NXDOMAIN" {
		t.Error(got)
	}
	yield()
	until(t, func() bool { return answers("student.service.consul.", miekg.TypeA) == "NOERROR" })
}

// TestRestoredServicesAreAnswered verifies that restored services are answered before the initial sync, and that no name is
// denied.
func TestRestoredServicesAreAnswered(t *testing.T) {
	f := prepare(t, defaults())
	f.serve(t, student)
	f.state.change(func() {
		f.state.restored = true
		d := f.state.desired[nameOf("student")]
		d.Authoritative = false
		f.state.desired[nameOf("student")] = d
	})
	f.Synced()
	until(t, func() bool { return f.Ready() == nil })
	for name, want := range map[string]int{
		"student.service.consul.": miekg.RcodeSuccess, "student.": miekg.RcodeSuccess, "service.consul.": miekg.RcodeSuccess,
		"other.service.consul.": miekg.RcodeServerFailure, "other.": miekg.RcodeServerFailure, "a.student.service.consul.": miekg.RcodeServerFailure,
	} {
		if reply := f.ask(t, "udp", query(name, miekg.TypeA)); reply.Rcode != want {
			t.Errorf("%s: %s", name, reply)
		}
	}
	f.state.change(func() { f.state.complete = true; clear(f.state.desired) })
	f.Notify(nameOf("student"))
	until(t, func() bool {
		return f.ask(t, "udp", query("student.service.consul.", miekg.TypeA)).Rcode == miekg.RcodeNameError
	})
}

// TestChanges verifies that the answers follow changes and removals of services.
func TestChanges(t *testing.T) {
	f := start(t, defaults(), student, served{"other", []string{"244.0.0.5"}, instances(1)})
	rcode := func(name string, kind uint16) func(int) bool {
		return func(want int) bool { return f.ask(t, "udp", query(name, kind)).Rcode == want }
	}
	moved := student
	moved.virtual = []string{"244.4.4.4"}
	f.serve(t, moved)
	until(t, func() bool { return rcode("3.2.1.244.in-addr.arpa.", miekg.TypePTR)(miekg.RcodeNameError) })
	if !rcode("4.4.4.244.in-addr.arpa.", miekg.TypePTR)(miekg.RcodeSuccess) {
		t.Error("the new address has no name")
	}
	f.state.change(func() { clear(f.state.desired) })
	f.Notify(nameOf("student"))
	f.Notify(nameOf("other"))
	until(t, func() bool { return rcode("other.service.consul.", miekg.TypeA)(miekg.RcodeNameError) })
	until(t, func() bool { return rcode("student.", miekg.TypeA)(miekg.RcodeRefused) })
	if !rcode("service.consul.", miekg.TypeA)(miekg.RcodeNameError) {
		t.Error("a name above removed hosts still exists")
	}
}

// nameOf returns the name of a service.
func nameOf(label string) mesh.Name { return mesh.Name{Source: "consul", Label: label} }
