package dns_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
)

// bigUpstream is a DNS server that answers every query with as many records as a packet can have.
func bigUpstream(t *testing.T) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started, done := make(chan struct{}), make(chan error, 1)
	server := &miekg.Server{PacketConn: socket, NotifyStartedFunc: func() { close(started) }, Handler: miekg.HandlerFunc(func(w miekg.ResponseWriter, query *miekg.Msg) {
		reply := new(miekg.Msg).SetReply(query)
		for i := range 60 {
			record, _ := miekg.NewRR(fmt.Sprintf("%s 5 IN A 10.0.0.%d", query.Question[0].Name, i))
			reply.Answer = append(reply.Answer, record)
		}
		reply.Compress = true
		_ = w.WriteMsg(reply)
	})}
	go func() { done <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown(); <-done })
	return socket.LocalAddr().String()
}

// amplifying starts a server with services that have long answers of all kinds.
func amplifying(t *testing.T, withInstances bool) *fixture {
	t.Helper()
	options := defaults()
	options.Instances, options.Forward = withInstances, map[string][]string{"consul": {bigUpstream(t)}}
	alias := instances(1)
	alias[0].Address = strings.Repeat("long-name-of-a-database.", 9) + "example.com"
	six := instances(300)
	for i := range six {
		six[i].Address = fmt.Sprintf("fd00::%x", i+1)
	}
	both := []string{"244.1.2.3", "fd00:1::7"}
	return start(t, options, served{"many", both, instances(2000)}, served{"six", []string{"244.1.2.4"}, six},
		served{"alias", []string{"244.1.2.5"}, alias}, served{"a", []string{"244.1.2.6", "fd00:1::8"}, instances(9)},
		served{strings.Repeat("n", 63), []string{"244.1.2.7", "fd00:1::9"}, instances(9)})
}

// exchange sends a packet from a local address and returns the size of the reply.
func (f *fixture) exchange(t *testing.T, local string, m *miekg.Msg) (sent, received int, reply *miekg.Msg) {
	t.Helper()
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(local)}}
	c, err := dialer.Dial("udp", f.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(packet); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 65536)
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := c.Read(buffer)
	if err != nil {
		t.Fatalf("%s: %v", m.Question[0].Name, err)
	}
	reply = new(miekg.Msg)
	if err := reply.Unpack(buffer[:n]); err != nil {
		t.Fatal(err)
	}
	return len(packet), n, reply
}

// addCookie adds a cookie to a query.
func addCookie(m *miekg.Msg, cookie string) {
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = append(m.IsEdns0().Option, &miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: cookie})
}

// cookieOf returns the cookie of a reply; empty if it has none.
func cookieOf(reply *miekg.Msg) string {
	if edns := reply.IsEdns0(); edns != nil {
		for _, option := range edns.Option {
			if cookie, ok := option.(*miekg.EDNS0_COOKIE); ok {
				return cookie.Cookie
			}
		}
	}
	return ""
}

const clientCookie = "0102030405060708"

// askWithCookie sends a query by UDP as a client that has a valid cookie.
func (f *fixture) askWithCookie(t *testing.T, m *miekg.Msg) *miekg.Msg {
	t.Helper()
	first := query("ns.consul.", miekg.TypeA)
	addCookie(first, clientCookie)
	_, _, reply := f.exchange(t, "127.0.0.1", first)
	m = m.Copy()
	addCookie(m, cookieOf(reply))
	_, _, reply = f.exchange(t, "127.0.0.1", m)
	return reply
}

// TestAmplification verifies that no answer by UDP is more than four times as long as its query, for all kinds of queries
// and of clients without a valid cookie.
func TestAmplification(t *testing.T) {
	names := []string{
		"many.service.consul.", "_many._tcp.service.consul.", "MANY.service.consul.", "many.", "six.service.consul.", "six.", "alias.", "a.",
		"alias.service.consul.", "a.service.consul.", "_a._tcp.service.consul.", strings.Repeat("n", 63) + ".service.consul.", "consul.", "service.consul.",
		"0a010001.addr.dc1.consul.", "unknown.service.consul.", "x.consul.", "elsewhere.example.", ".", "3.2.1.244.in-addr.arpa.",
		strings.TrimSuffix(reverse(t, "fd00:1::7"), ".") + ".", "9.9.9.244.in-addr.arpa.",
	}
	kinds := []uint16{
		miekg.TypeA, miekg.TypeAAAA, miekg.TypeSRV, miekg.TypeANY, miekg.TypePTR, miekg.TypeSOA, miekg.TypeTXT, miekg.TypeNS,
		miekg.TypeCNAME, miekg.TypeMX, miekg.TypeHTTPS, miekg.TypeDNSKEY, miekg.TypeAXFR, 65000,
	}
	for _, withInstances := range []bool{false, true} {
		f := amplifying(t, withInstances)
		stolen := cookieOf(f.askWithCookie(t, query("many.", miekg.TypeA)))
		clients := map[string]func(*miekg.Msg){
			"no EDNS":                    func(*miekg.Msg) {},
			"EDNS":                       func(m *miekg.Msg) { m.SetEdns0(65535, true) },
			"small buffer":               func(m *miekg.Msg) { m.SetEdns0(0, false) },
			"EDNS version":               func(m *miekg.Msg) { m.SetEdns0(4096, false); m.IsEdns0().SetVersion(1) },
			"client cookie":              func(m *miekg.Msg) { addCookie(m, clientCookie) },
			"cookie of another address":  func(m *miekg.Msg) { addCookie(m, stolen) },
			"invented cookie":            func(m *miekg.Msg) { addCookie(m, clientCookie+strings.Repeat("ab", 16)) },
			"malformed cookie":           func(m *miekg.Msg) { addCookie(m, "01") },
			"another opcode":             func(m *miekg.Msg) { m.Opcode = miekg.OpcodeNotify },
			"another class":              func(m *miekg.Msg) { m.Question[0].Qclass = miekg.ClassCHAOS },
			"repeated additional record": func(m *miekg.Msg) { m.Extra = append(m.Extra, opt(), opt()) },
			"compressed additional record": func(m *miekg.Msg) {
				m.Compress = true
				m.Extra = append(m.Extra, &miekg.NS{Hdr: miekg.RR_Header{Name: m.Question[0].Name, Rrtype: miekg.TypeNS, Class: 1}, Ns: m.Question[0].Name})
			},
		}
		var worst float64
		for client, change := range clients {
			for _, name := range names {
				for _, kind := range kinds {
					m := query(name, kind)
					change(m)
					sent, received, reply := f.exchange(t, "127.0.0.3", m)
					worst = max(worst, float64(received)/float64(sent))
					if received > 4*sent {
						t.Errorf("instances %v, %s, %s %s: %d bytes for %d: %s", withInstances, client, name, miekg.TypeToString[kind], received, sent, reply)
					}
				}
			}
		}
		t.Logf("instances %v: an answer is at most %.2f times as long as its query", withInstances, worst)
	}
}

func opt() miekg.RR {
	return &miekg.OPT{Hdr: miekg.RR_Header{Name: ".", Rrtype: miekg.TypeOPT, Class: 1232}}
}

func reverse(t *testing.T, address string) string {
	t.Helper()
	name, err := miekg.ReverseAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestShortAnswersNeedNoCookie verifies that answers with virtual addresses, and denials, are complete by UDP without a
// cookie: the limit costs no ordinary caller a TCP connection.
func TestShortAnswersNeedNoCookie(t *testing.T) {
	f := amplifying(t, false)
	for _, name := range []string{"many.service.consul.", "many.", "a.", "a.service.consul.", strings.Repeat("n", 63) + ".service.consul."} {
		for _, kind := range []uint16{miekg.TypeA, miekg.TypeAAAA, miekg.TypeSRV, miekg.TypeMX, miekg.TypeSOA} {
			for _, edns := range []bool{false, true} {
				m := query(name, kind)
				if edns {
					m.SetEdns0(1232, false)
				}
				reply := f.ask(t, "udp", m)
				if reply.Truncated || len(reply.Answer) != len(f.ask(t, "tcp", m).Answer) || (len(reply.Answer) == 0 && len(reply.Ns) != 1) {
					t.Errorf("%s %s, EDNS %v: %s", name, miekg.TypeToString[kind], edns, reply)
				}
			}
		}
	}
}

// TestCookieAllowsLongAnswers verifies that a client with a valid cookie gets by UDP what fits into a packet, that a new
// client gets a cookie, and that no limit applies if it is switched off.
func TestCookieAllowsLongAnswers(t *testing.T) {
	options := defaults()
	options.Instances = true
	f := start(t, options, served{"some", nil, instances(40)}, served{"many", nil, instances(2000)})
	m := query("some.service.consul.", miekg.TypeA)
	if reply := f.askWithCookie(t, m); reply.Truncated || len(reply.Answer) != 40 {
		t.Errorf("with a cookie: %d of 40 records, truncated %v", len(reply.Answer), reply.Truncated)
	}
	if reply := f.askWithCookie(t, query("many.service.consul.", miekg.TypeA)); !reply.Truncated || len(reply.Answer) < 60 {
		t.Errorf("with a cookie, too long for a packet: %d records, truncated %v", len(reply.Answer), reply.Truncated)
	}
	first := m.Copy()
	addCookie(first, clientCookie)
	_, _, reply := f.exchange(t, "127.0.0.1", first)
	if !reply.Truncated || len(reply.Answer) == 0 || !strings.HasPrefix(cookieOf(reply), clientCookie) {
		t.Errorf("a client with a new cookie: %s", reply)
	}
	malformed := m.Copy()
	addCookie(malformed, "01")
	if _, _, reply := f.exchange(t, "127.0.0.1", malformed); reply.Rcode != miekg.RcodeFormatError {
		t.Errorf("a malformed cookie: %s", reply)
	}
	options.MaxAmplification = 0
	f = start(t, options, served{"some", nil, instances(40)})
	m.SetEdns0(1232, false)
	if reply := f.ask(t, "udp", m); reply.Truncated || len(reply.Answer) != 40 {
		t.Errorf("without the limit: %d of 40 records, truncated %v", len(reply.Answer), reply.Truncated)
	}
}

// TestAdditionalRecordsAreOptional verifies that an SRV answer whose records fit is not marked as truncated, although
// addresses of its targets are left out.
func TestAdditionalRecordsAreOptional(t *testing.T) {
	options := defaults()
	options.Instances = true
	f := start(t, options, served{"twenty", nil, instances(20)})
	reply := f.askWithCookie(t, query("_twenty._tcp.service.consul.", miekg.TypeSRV))
	if reply.Truncated || len(reply.Answer) != 20 || len(reply.Extra) < 2 || len(reply.Extra) > 20 {
		t.Errorf("%d records of 20, %d additional ones, truncated %v", len(reply.Answer), len(reply.Extra), reply.Truncated)
	}
}
