package mesh

import (
	"strings"
	"testing"
)

// TestParseAddress verifies the accepted addresses and their canonical forms.
func TestParseAddress(t *testing.T) {
	longest := strings.Repeat(strings.Repeat("x", 62)+".", 4) // 252 characters
	for address, want := range map[string]struct {
		parsed string
		byName bool
	}{
		"10.0.0.1":         {"10.0.0.1", false},
		"127.0.0.1":        {"127.0.0.1", false},
		"2001:DB8:0:0::1":  {"2001:db8::1", false},
		"[2001:db8::1]":    {"2001:db8::1", false},
		"[10.0.0.1]":       {"10.0.0.1", false},
		"::1":              {"::1", false},
		"::ffff:10.0.0.1":  {"10.0.0.1", false},
		"web":              {"web", true},
		"VM-1.Example.com": {"vm-1.example.com", true},
		"example.com.":     {"example.com", true},
		"1.2.3.4.example":  {"1.2.3.4.example", true},
		"xn--fiq228c.cn":   {"xn--fiq228c.cn", true},
		longest + "x":      {longest + "x", true},
	} {
		name, ip, err := parseAddress(address)
		parsed := name
		if name == "" {
			parsed = ip.String()
		}
		if err != nil || parsed != want.parsed || (name != "") != want.byName {
			t.Errorf("%q is %q, %v, %v; want %v", address, name, ip, err, want)
		}
	}
}

// TestParseAddressRejects verifies the rejected addresses.
func TestParseAddressRejects(t *testing.T) {
	for _, address := range []string{
		"", " ", " 10.0.0.1", "0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "ff02::1", "fe80::1%eth0", "10.0.0.256", "10.0.0",
		"010.0.0.1", "1", "0x7f000001", "0x7f.0x1", "127.0X1", "a.1-2", "255.255.255.255", "::ffff:255.255.255.255", "10.0.0.1:80", "[::1]:80", "[web]", "[]", "10.0.0.1/32", "unix:///run/web.sock", "http://web",
		"my_host", "-web", "web-", "a..b", ".web", "web..", "*.example.com", "a b", "中文", "caf\xe9", "web\n",
		strings.Repeat("x", 64), strings.Repeat("x.", 126) + "xx", "fe80::1%" + strings.Repeat("x", 10_000),
	} {
		name, ip, err := parseAddress(address)
		if err == nil || name != "" || ip.IsValid() {
			t.Errorf("%q is %q, %v", address, name, ip)
		} else if len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}
