package mesh

import (
	"bytes"
	"net/netip"
	"slices"
)

// embedding is a form of IPv6 addresses that contain an IPv4 address. A connection to the IPv6 address may reach the IPv4
// address.
type embedding struct {
	prefix netip.Prefix
	// bytes are the positions of the IPv4 address.
	bytes [4]int
	// inverted is true if the bits of the IPv4 address are inverted.
	inverted bool
	// local is true if the position depends on the network. Then an IPv4 address of 0.0.0.0/8 is no address.
	local bool
}

var embeddings = []embedding{
	{prefix: netip.MustParsePrefix("::/96"), bytes: from(12)},                     // IPv4-compatible, RFC 4291, 2.5.5.1
	{prefix: netip.MustParsePrefix("::ffff:0:0:0/96"), bytes: from(12)},           // IPv4-translated, RFC 2765
	{prefix: netip.MustParsePrefix("64:ff9b::/96"), bytes: from(12)},              // NAT64, RFC 6052
	{prefix: netip.MustParsePrefix("2002::/16"), bytes: from(2)},                  // 6to4, RFC 3056
	{prefix: netip.MustParsePrefix("2001::/32"), bytes: from(4)},                  // the server of Teredo, RFC 4380
	{prefix: netip.MustParsePrefix("2001::/32"), bytes: from(12), inverted: true}, // the client of Teredo
	{prefix: localNAT64, bytes: from(12), local: true},                            // RFC 8215, with prefixes of RFC 6052, 2.2:
	{prefix: localNAT64, bytes: [4]int{6, 7, 9, 10}, local: true},                 // 48 bits
	{prefix: localNAT64, bytes: [4]int{7, 9, 10, 11}, local: true},                // 56 bits
	{prefix: localNAT64, bytes: from(9), local: true},                             // 64 bits
}

var localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")

// isatap are the bytes 8 to 11 of ISATAP addresses, in any network (RFC 5214, 6.1). The IPv4 address follows.
var isatap = [][]byte{{0, 0, 0x5e, 0xfe}, {2, 0, 0x5e, 0xfe}}

func from(at int) [4]int { return [4]int{at, at + 1, at + 2, at + 3} }

// embedded returns the IPv4 addresses that an IPv6 address contains.
func embedded(ip netip.Addr) (found []netip.Addr) {
	if !ip.Is6() || ip.IsLoopback() {
		return nil
	}
	all := ip.As16()
	for _, form := range embeddings {
		if !form.prefix.Contains(ip) {
			continue
		}
		var inner [4]byte
		for i, at := range form.bytes {
			if inner[i] = all[at]; form.inverted {
				inner[i] = ^all[at]
			}
		}
		if !form.local || inner[0] != 0 {
			found = append(found, netip.AddrFrom4(inner))
		}
	}
	if slices.ContainsFunc(isatap, func(mark []byte) bool { return bytes.Equal(mark, all[8:12]) }) {
		found = append(found, netip.AddrFrom4([4]byte(all[12:])))
	}
	return found
}
