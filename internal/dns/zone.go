package dns

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// zone is a domain that the server is authoritative for.
type zone struct {
	// apex is the name of the domain in lower case, with a dot at the end.
	apex string
	// ofConsul is true for a domain of Consul's own DNS, which may have more names.
	ofConsul bool
}

// zonesOf returns the zones. A zone comes before the zones that contain it.
func zonesOf(options Options) []zone {
	var zones []zone
	for _, domain := range options.Domains {
		zones = append(zones, zone{dns.CanonicalName(domain), true})
	}
	for _, domain := range options.MoreDomains {
		zones = append(zones, zone{dns.CanonicalName(domain), false})
	}
	slices.SortStableFunc(zones, func(a, b zone) int { return len(b.apex) - len(a.apex) })
	return zones
}

// zoneOf returns the innermost zone that contains a name.
func (s *Server) zoneOf(name string) (zone, bool) {
	for _, z := range s.zones {
		if isUnder(name, z.apex) {
			return z, true
		}
	}
	return zone{}, false
}

// isUnder reports whether a name is the apex or below it.
func isUnder(name, apex string) bool { return name == apex || strings.HasSuffix(name, "."+apex) }

const (
	reverse4 = ".in-addr.arpa."
	reverse6 = ".ip6.arpa."
)

// parseReverse parses a name of the reverse tree (RFC 1035, 3.5; RFC 3596, 2.5).
func parseReverse(name string) (netip.Addr, bool) {
	if labels, ok := strings.CutSuffix(name, reverse4); ok {
		parts := strings.Split(labels, ".")
		slices.Reverse(parts)
		ip, err := netip.ParseAddr(strings.Join(parts, "."))
		return ip, err == nil && ip.Is4()
	}
	labels, ok := strings.CutSuffix(name, reverse6)
	parts := strings.Split(labels, ".")
	if !ok || len(parts) != 32 {
		return netip.Addr{}, false
	}
	slices.Reverse(parts)
	raw, err := hex.DecodeString(strings.Join(parts, ""))
	if err != nil || len(raw) != 16 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16([16]byte(raw)), true
}

// addressName returns the name that Consul gives to an address: the bytes in hexadecimal digits below "addr".
func addressName(ip netip.Addr, datacenter, domain string) string {
	parts := []string{hex.EncodeToString(ip.AsSlice()), "addr", datacenter, domain}
	if datacenter == "" {
		parts = slices.Delete(parts, 2, 3)
	}
	return strings.Join(parts, ".")
}

// parseAddressName is the inverse of addressName. The name may have no datacenter.
func parseAddressName(name string, z zone) (ip netip.Addr, datacenter string, ok bool) {
	rest, ok := strings.CutSuffix(name, "."+z.apex)
	parts := strings.Split(rest, ".")
	if !ok || !z.ofConsul || len(parts) < 2 || len(parts) > 3 || parts[1] != "addr" {
		return netip.Addr{}, "", false
	}
	raw, err := hex.DecodeString(parts[0])
	if err != nil {
		return netip.Addr{}, "", false
	}
	ip, ok = netip.AddrFromSlice(raw)
	return ip, strings.Join(parts[2:], ""), ok
}

// srvHost returns the host of the name of an SRV record (RFC 2782). It returns an empty string for any other name.
//
//	_LABEL._tcp.REST   LABEL.REST
//	_LABEL._TAG.REST   TAG.LABEL.REST, as in Consul's DNS
func srvHost(name string) string {
	label, rest, _ := strings.Cut(name, ".")
	tag, rest, ok := strings.Cut(rest, ".")
	switch {
	case !ok || len(label) < 2 || len(tag) < 2 || label[0] != '_' || tag[0] != '_':
		return ""
	case tag == "_tcp":
		return label[1:] + "." + rest
	default:
		return tag[1:] + "." + label[1:] + "." + rest
	}
}

// srvParent returns the name above the SRV name of a tag's host: TAG.LABEL.REST has the SRV name _LABEL._TAG.REST.
func srvParent(host string) string {
	tag, rest, _ := strings.Cut(host, ".")
	_, rest, _ = strings.Cut(rest, ".")
	return "_" + tag + "." + rest
}

// cutPort removes a port name from a name. Consul writes the port before its domain: "REST.PORT.port.consul" is the port
// PORT of "REST.consul".
func cutPort(name string, z zone) (rest, port string) {
	labels, ok := strings.CutSuffix(name, ".port."+z.apex)
	if !ok || !z.ofConsul {
		return name, ""
	}
	at := strings.LastIndex(labels, ".") + 1
	return labels[:at] + z.apex, labels[at:]
}
