package mesh

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Addresses says which addresses instances may have. Without it, all but those that are forbidden by themselves: what
// they mean depends on who connects, or they are the doors to a cloud's secrets.
type Addresses struct {
	// Allow goes before Deny, and before what is forbidden by itself.
	Allow, Deny []AddressRange
}

// AddressRange is a range of IP addresses, or a glob of host names.
type AddressRange struct {
	prefix netip.Prefix
	glob   string
}

var globPattern = regexp.MustCompile(`^[-a-z0-9.*?]+$`)

// ParseAddressRange reads a range of IP addresses ("10.0.0.0/8"), one of them, or a glob of host names ("*.example.com").
func ParseAddressRange(text string) (AddressRange, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return AddressRange{prefix: netip.PrefixFrom(ip, ip.BitLen())}, nil
	}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		switch {
		case prefix.Addr().Is4In6():
			return AddressRange{}, fmt.Errorf("%q: write a range of IPv4 addresses as such, like 10.0.0.0/8", text)
		case prefix != prefix.Masked():
			return AddressRange{}, fmt.Errorf("%q is not where a range begins; %s is", text, prefix.Masked())
		}
		return AddressRange{prefix: prefix}, nil
	}
	glob := strings.ToLower(strings.TrimSuffix(text, "."))
	if !globPattern.MatchString(glob) || strings.ContainsAny(glob, "0123456789") && !strings.ContainsAny(glob, "abcdefghijklmnopqrstuvwxyz") {
		return AddressRange{}, fmt.Errorf("%q is no IP address, no range like 10.0.0.0/8 and no glob of host names like *.example.com", text)
	}
	return AddressRange{glob: glob}, nil
}

// String returns the range as it is written.
func (r AddressRange) String() string {
	if r.glob != "" {
		return r.glob
	}
	if r.prefix.IsSingleIP() {
		return r.prefix.Addr().String()
	}
	return r.prefix.String()
}

// holds tells whether the range has a host name or, where that is empty, an IP address.
func (r AddressRange) contains(name string, ip netip.Addr) bool {
	if name != "" {
		return r.glob != "" && catalog.Match(r.glob, name)
	}
	return r.prefix.IsValid() && r.prefix.Contains(ip)
}

// check tells why an instance can't have an address, and what admits it; nil where it can.
func (a Addresses) check(name string, ip netip.Addr, clusterDomain string) error {
	if err := a.checkOne(name, ip, clusterDomain); err != nil {
		return err
	}
	if inner, ok := embedded(ip); ok && name == "" {
		if err := a.checkOne("", inner, clusterDomain); err != nil {
			return fmt.Errorf("address %s stands for another one: %w", ip, err)
		}
	}
	return nil
}

func (a Addresses) checkOne(name string, ip netip.Addr, clusterDomain string) error {
	has := func(r AddressRange) bool { return r.contains(name, ip) }
	text := name
	if name == "" {
		text = ip.String()
	}
	if slices.ContainsFunc(a.Allow, has) {
		return nil
	}
	if at := slices.IndexFunc(a.Deny, has); at >= 0 {
		return fmt.Errorf("address %s is denied by %q of mesh.addresses.deny; mesh.addresses.allow goes before it", text, a.Deny[at])
	}
	for _, f := range forbidden {
		if f.contains(name, ip) {
			return fmt.Errorf("address %s is %s; mesh.addresses.allow: [%q] admits it", text, f.meaning, f.AddressRange)
		}
	}
	if name != "" && ofCluster(name, clusterDomain) {
		return fmt.Errorf("address %s is a name of the Kubernetes cluster; mesh.addresses.allow: [%q] admits it", text, name)
	}
	return nil
}

// ofCluster tells whether a name is one of the Kubernetes cluster itself. So may be others of one or two labels, by a
// pod's search list; they look like any name of a machine.
func ofCluster(name, clusterDomain string) bool {
	return UnderDomain(name, clusterDomain) || UnderDomain(name, "svc") || name == "kubernetes" || name == "kubernetes.default"
}

type forbiddenRange struct {
	AddressRange
	meaning string
}

// forbidden are the addresses that no instance has unless the configuration says so.
var forbidden = forbid(
	"the caller's own machine (loopback)",
	"127.0.0.0/8", "0.0.0.0/8", "::1", "localhost", "*.localhost", "localhost.localdomain", "localhost4", "localhost6",
	"localhost4.localdomain4", "localhost6.localdomain6", "ip6-localhost", "ip6-loopback",
).and(
	// Of AWS fd00:ec2::254 and others, of Google fd20:ce::254, of Alibaba 100.100.100.200, of Azure 168.63.129.16, of
	// Oracle 192.0.0.192; all others are link-local.
	"of a cloud's metadata service, which gives credentials away",
	"169.254.169.254", "fd00:ec2::/32", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192",
	"metadata", "metadata.google.internal", "metadata.goog", "metadata.azure.internal", "metadata.tencentyun.com",
	"instance-data", "instance-data.ec2.internal",
).and(
	"link-local, so it depends on the caller's own network and may be a metadata service", "169.254.0.0/16", "fe80::/10",
)

type forbiddenRanges []forbiddenRange

func forbid(meaning string, ranges ...string) forbiddenRanges {
	return forbiddenRanges{}.and(meaning, ranges...)
}

// and panics on a range that is none: it is a mistake in the list above.
func (f forbiddenRanges) and(meaning string, ranges ...string) forbiddenRanges {
	for _, text := range ranges {
		r, err := ParseAddressRange(text)
		if err != nil {
			panic(err)
		}
		f = append(f, forbiddenRange{r, meaning})
	}
	return f
}

// meansNoService tells whether a host is a name that means something else to a caller than a service.
func meansNoService(host string) bool {
	return slices.ContainsFunc(forbidden, func(f forbiddenRange) bool { return f.contains(host, netip.Addr{}) })
}
