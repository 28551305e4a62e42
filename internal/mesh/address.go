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
