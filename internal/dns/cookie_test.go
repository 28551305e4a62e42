package dns

import (
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestServerCookie verifies the cookies of the test vectors of RFC 9018, appendix A.
func TestServerCookie(t *testing.T) {
	for _, c := range []struct {
		request, secret, client string
		at                      int64
		want                    string
	}{
		{"2464c4abcf10c957", "e5e973e5a6b2a43f48e7dc849e37bfcf", "198.51.100.100", 1559731985, "010000005cf79f111f8130c3eee29480"},
		{"2464c4abcf10c957", "e5e973e5a6b2a43f48e7dc849e37bfcf", "198.51.100.100", 1559734385, "010000005cf7a871d4a564a1442aca77"},
		{"22681ab97d52c298", "445536bcd2513298075a5d379663c962", "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741961, "010000005cf7c609a6bb79d16625507a"},
	} {
		request, _ := hex.DecodeString(c.request)
		secret, _ := hex.DecodeString(c.secret)
		got := serverCookie(request, time.Unix(c.at, 0), netip.MustParseAddr(c.client), [16]byte(secret))
		if hex.EncodeToString(got) != c.want {
			t.Errorf("%s: %x, want %s", c.client, got, c.want)
		}
	}
}

// TestCookies verifies which cookies prove the address of a client.
func TestCookies(t *testing.T) {
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	c := newCookies()
	c.now, c.changed = func() time.Time { return now }, now
	client := netip.MustParseAddr("10.0.0.1")
	check := func(cookie string, client netip.Addr) (cookieState, string) {
		query := new(dns.Msg).SetQuestion("a.consul.", dns.TypeA)
		query.SetEdns0(1232, false)
		query.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
		state, option := c.check(query, client)
		if option == nil {
			return state, ""
		}
		return state, option.Cookie
	}
	const request = "0102030405060708"
	state, cookie := check(request, client)
	if state != newClient || len(cookie) != 2*(clientCookieSize+serverCookieSize) || cookie[:16] != request {
		t.Fatalf("a new client: state %d, cookie %s", state, cookie)
	}
	changed := []byte(cookie)
	changed[len(changed)-1] ^= 1
	for name, test := range map[string]struct {
		cookie string
		client string
		want   cookieState
	}{
		"same client":           {cookie, "10.0.0.1", validCookie},
		"IPv4 in IPv6":          {cookie, "::ffff:10.0.0.1", validCookie},
		"another client":        {cookie, "10.0.0.2", newClient},
		"another client cookie": {"ff" + cookie[2:], "10.0.0.1", newClient},
		"changed hash":          {string(changed), "10.0.0.1", newClient},
		"other length":          {request + "0102030405060708", "10.0.0.1", newClient},
		"empty":                 {"", "10.0.0.1", malformedCookie},
		"short":                 {"01", "10.0.0.1", malformedCookie},
		"short server cookie":   {request + "01", "10.0.0.1", malformedCookie},
		"long":                  {cookie + cookie, "10.0.0.1", malformedCookie},
	} {
		if state, _ := check(test.cookie, netip.MustParseAddr(test.client)); state != test.want {
			t.Errorf("%s: state %d, want %d", name, state, test.want)
		}
	}
	start := now
	for _, test := range []struct {
		after time.Duration
		want  cookieState
	}{
		{time.Hour, validCookie}, {time.Hour + time.Second, newClient}, {-5 * time.Minute, validCookie}, {-6 * time.Minute, newClient},
	} {
		now = start.Add(test.after)
		if state, _ := check(cookie, client); state != test.want {
			t.Errorf("after %s: state %d, want %d", test.after, state, test.want)
		}
	}
	now = start.Add(secretAge)
	_, cookie = check(request, client)
	for range 2 { // the secret changes with the first of them
		now = now.Add(30 * time.Minute)
		if state, _ := check(cookie, client); state != validCookie {
			t.Errorf("a change of the secret makes a recent cookie invalid: state %d", state)
		}
	}
	now = start.Add(3 * secretAge)
	_, _ = check(request, client)
	if state, _ := check(cookie, client); state != newClient {
		t.Errorf("a cookie of an old secret: state %d", state)
	}
}
