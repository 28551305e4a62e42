package mesh

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// parseAddress returns an address in the form that Istio accepts: a host name in lower case, or an IP address in its
// canonical form without brackets. An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) becomes the IPv4 address.
func parseAddress(address string) (name string, ip netip.Addr, err error) {
	bare := address
	if strings.HasPrefix(bare, "[") && strings.HasSuffix(bare, "]") {
		bare = bare[1 : len(bare)-1]
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		if ip = ip.Unmap(); ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() || ip == broadcast {
			return "", netip.Addr{}, fmt.Errorf("address %q is not a unicast address", clip(address))
		}
		return "", ip, nil
	}
	name = strings.ToLower(strings.TrimSuffix(address, "."))
	if !isHost(name) || endsInNumber(name) {
		return "", netip.Addr{}, fmt.Errorf("address %q is neither an IP address nor a host name", clip(address))
	}
	return name, netip.Addr{}, nil
}

// endsInNumber reports whether a resolver may take a name for an IPv4 address, in its usual form or an older one: 127.1,
// 2130706433, 0x7f000001 (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	return !strings.ContainsAny(last, "abcdefghijklmnopqrstuvwxyz") || hexNumber.MatchString(last)
}

var hexNumber = regexp.MustCompile(`^0x[0-9a-f]*$`)

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// embedding lists the IPv6 prefixes whose addresses contain an IPv4 address, and the offset of that address in bytes. A
// connection to the IPv6 address may reach the IPv4 address.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("::/96"), 12},        // IPv4-compatible, RFC 4291, 2.5.5.1
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4, RFC 3056
}

// embedded returns the IPv4 address that an IPv6 address contains.
func embedded(ip netip.Addr) (netip.Addr, bool) {
	for _, form := range embedding {
		if !ip.IsLoopback() && form.prefix.Contains(ip) {
			bytes := ip.As16()
			return netip.AddrFrom4([4]byte(bytes[form.at : form.at+4])), true
		}
	}
	return netip.Addr{}, false
}
