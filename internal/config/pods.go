package config

import (
	"fmt"
	"net/netip"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// podRanges returns the parsed ranges of mesh.podRanges, or the default ranges if there are none.
func (m Mesh) podRanges() ([]netip.Prefix, error) {
	if len(m.PodRanges) == 0 {
		return mesh.DefaultPodRanges(), nil
	}
	ranges := make([]netip.Prefix, len(m.PodRanges))
	for i, text := range m.PodRanges {
		var err error
		if ranges[i], err = parseCIDR(text); err != nil {
			return nil, fmt.Errorf("mesh.podRanges[%d]: %w", i, err)
		}
	}
	return ranges, nil
}

// parseCIDR parses a range of IP addresses in CIDR notation.
func parseCIDR(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		return netip.Prefix{}, fmt.Errorf("%q is an address; write %s", text, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is not a range such as 10.244.0.0/16", text)
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q: write IPv4 ranges in IPv4 notation, for example 10.244.0.0/16", text)
	case prefix != prefix.Masked():
		return netip.Prefix{}, fmt.Errorf("%q is not the first address of a range; use %s", text, prefix.Masked())
	}
	return prefix, nil
}
