package dns_test

import (
	"slices"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// An answer that is too long for UDP is cut and says so; by TCP it is whole.
func TestLongAnswers(t *testing.T) {
	options := defaults()
	options.Instances = true
	f := start(t, options, served{"many", nil, instances(2000)}, served{"some", nil, instances(40)})
	for _, c := range []struct {
		name    string
		edns    uint16
		network string
		cut     bool
		most    int
	}{
		{"many", 0, "udp", true, 512},
		{"many", 65000, "udp", true, 1232},
		{"many", 100, "udp", true, 512},
		{"some", 0, "udp", true, 512},
		{"some", 1232, "udp", false, 1232},
		{"many", 0, "tcp", false, 65535},
	} {
		m := query(c.name+".service.consul.", miekg.TypeA)
		if c.edns > 0 {
			m.SetEdns0(c.edns, true)
		}
		reply := f.ask(t, c.network, m)
		if reply.Compress = true; reply.Truncated != c.cut || reply.Len() > c.most || (reply.IsEdns0() != nil) != (c.edns > 0) {
			t.Errorf("%s by %s, %d bytes said: cut %v, %d bytes, EDNS %v", c.name, c.network, c.edns, reply.Truncated, reply.Len(), reply.IsEdns0())
		}
		if c.network == "tcp" && len(reply.Answer) != 2000 {
			t.Errorf("by TCP %d of 2000", len(reply.Answer))
		}
	}
}

func TestOddQueries(t *testing.T) {
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
				t.Errorf("%s by %s: %s", name, network, reply)
			}
		}
	}
}

// Before everything is known, nobody is told that something isn't there; a service is answered once all is known that
// says what it is called, whatever isn't known of others.
func TestNothingIsDeniedTooEarly(t *testing.T) {
	f := prepare(t, defaults())
	f.state.unsettled = map[string]bool{"student": true}
	other := served{"other", []string{"244.0.0.5"}, instances(1)}
	f.serve(t, student)
	f.serve(t, other)
	codes := func(want int, names ...string) func() bool {
		return func() bool {
			return !slices.ContainsFunc(names, func(name string) bool { return f.ask(t, "udp", query(name, miekg.TypeA)).Rcode != want })
		}
	}
	until(t, codes(miekg.RcodeSuccess, "other.service.consul.", "other.", "service.consul."))
	unknown := codes(miekg.RcodeServerFailure, "student.service.consul.", "student.", "nobody.service.consul.", "nobody.", "a.other.service.consul.")
	if !unknown() || f.Ready() == nil {
		t.Error("something is said of what isn't known")
	}
	if reply := f.ask(t, "udp", query("other.service.consul.", miekg.TypeAAAA)); reply.Rcode != miekg.RcodeSuccess || len(reply.Answer) > 0 {
		t.Errorf("a type that a known service doesn't have: %s", reply)
	}
	f.state.change(func() { f.state.unsettled = nil })
	f.Synced()
	until(t, codes(miekg.RcodeSuccess, "student.service.consul.", "student."))
	f.state.change(func() { f.state.complete = true })
	f.Synced()
	until(t, func() bool { return f.Ready() == nil })
	if !codes(miekg.RcodeNameError, "nobody.service.consul.")() {
		t.Error("what isn't there isn't denied")
	}
}

// A host that is somebody else's in the mesh is answered as if there were no such service; its other hosts stay.
func TestWhatIsLeftToOthersIsNotAnswered(t *testing.T) {
	f := start(t, defaults(), student)
	leave := func(hosts ...string) {
		f.state.change(func() { f.state.left = hosts })
		f.Notify(nameOf("student"))
	}
	answers := func(name string, kind uint16) string { return says(f.ask(t, "udp", query(name, kind)))[0] }
	leave("student.service.consul")
	until(t, func() bool { return answers("student.service.consul.", miekg.TypeA) == "NXDOMAIN" })
	if got := answers("student.", miekg.TypeA) + answers("_student._tcp.service.consul.", miekg.TypeSRV); got != "NOERRORNXDOMAIN" {
		t.Error(got)
	}
	if got := says(f.ask(t, "udp", query("3.2.1.244.in-addr.arpa.", miekg.TypePTR))); !strings.HasSuffix(got[1], " PTR student.") {
		t.Error(got)
	}
	leave("student.service.consul", "student")
	until(t, func() bool { return answers("student.", miekg.TypeA) == "REFUSED" })
	if got := answers("3.2.1.244.in-addr.arpa.", miekg.TypePTR); got != "NXDOMAIN" {
		t.Error(got)
	}
	leave()
	until(t, func() bool { return answers("student.service.consul.", miekg.TypeA) == "NOERROR" })
}

// What is known to be there is answered while the rest isn't known; nothing is denied.
func TestTheLastKnownGoodIsAnswered(t *testing.T) {
	f := prepare(t, defaults())
	f.serve(t, student)
	f.state.change(func() {
		f.state.recalled = true
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

func TestServicesComeChangeAndGo(t *testing.T) {
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
		t.Error("a name above hosts that are gone still exists")
	}
}

func nameOf(label string) mesh.Name { return mesh.Name{Source: "consul", Label: label} }
