package dns

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// zone is a domain that is ours to answer for.
type zone struct {
	// apex is in lower case, with a dot at the end.
	apex string
	// ofConsul says that Consul's own DNS may know more of it.
	ofConsul bool
}

// zonesOf returns the zones, those below others first.
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

// zoneOf returns the zone that a name is in.
func (s *Server) zoneOf(name string) (zone, bool) {
	for _, z := range s.zones {
		if isUnder(name, z.apex) {
			return z, true
		}
	}
	return zone{}, false
}

func isUnder(name, apex string) bool { return name == apex || strings.HasSuffix(name, "."+apex) }

const (
	reverse4 = ".in-addr.arpa."
	reverse6 = ".ip6.arpa."
)

// parseReverse returns the address that a name of the reverse tree stands for (RFC 1035, 3.5; RFC 3596, 2.5).
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

// addressName is what Consul calls an address: its bytes in hexadecimal digits below "addr".
func addressName(ip netip.Addr, datacenter, domain string) string {
	parts := []string{hex.EncodeToString(ip.AsSlice()), "addr", datacenter, domain}
	if datacenter == "" {
		parts = slices.Delete(parts, 2, 3)
	}
	return strings.Join(parts, ".")
}

// parseAddressName is the inverse of addressName, with the datacenter or without.
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

// srvHost returns the host that the name of an SRV record is about: HOST of "_LABEL._tcp.REST" is LABEL.REST. It is empty
// where the name is none of these.
func srvHost(name string) string {
	label, rest, ok := strings.Cut(name, "._tcp.")
	if !ok || len(label) < 2 || label[0] != '_' || strings.Contains(label, ".") {
		return ""
	}
	return label[1:] + "." + rest
}

// cutPort returns a name without the port that it names in Consul's way, before its domain: "REST.PORT.port.consul" is
// about REST.consul.
func cutPort(name string, z zone) (rest, port string) {
	labels, ok := strings.CutSuffix(name, ".port."+z.apex)
	if !ok || !z.ofConsul {
		return name, ""
	}
	at := strings.LastIndex(labels, ".") + 1
	return labels[:at] + z.apex, labels[at:]
}
