package mesh

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Addresses restricts the addresses of instances. The first match decides:
//
//	Allow              accepted
//	Deny               rejected
//	built-in list      rejected: loopback, link-local, metadata services of clouds
//	cluster's names    rejected, also in short form: web, web.default
//	any other          accepted
//
// An IPv6 address that contains an IPv4 address must pass with both. Networks can use other prefixes for IPv4 addresses; add
// them to Deny.
type Addresses struct {
	// Allow lists accepted addresses.
	Allow []AddressRange
	// Deny lists rejected addresses.
	Deny []AddressRange
}

// AddressRange is a range of IP addresses or a glob of host names.
type AddressRange struct {
	prefix netip.Prefix
	glob   string
}

var globPattern = regexp.MustCompile(`^[-a-z0-9.*?]+$`)

// ParseAddressRange parses a range of IP addresses ("10.0.0.0/8"), a single IP address, or a glob of host names
// ("*.example.com").
func ParseAddressRange(text string) (AddressRange, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return AddressRange{prefix: netip.PrefixFrom(ip, ip.BitLen())}, nil
	}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		switch {
		case prefix.Addr().Is4In6():
			return AddressRange{}, fmt.Errorf("%q: write IPv4 ranges in IPv4 notation, for example 10.0.0.0/8", text)
		case prefix != prefix.Masked():
			return AddressRange{}, fmt.Errorf("%q is not the first address of a range; use %s", text, prefix.Masked())
		}
		return AddressRange{prefix: prefix}, nil
	}
	glob := strings.ToLower(strings.TrimSuffix(text, "."))
	if !globPattern.MatchString(glob) || strings.ContainsAny(glob, "0123456789") && !strings.ContainsAny(glob, "abcdefghijklmnopqrstuvwxyz") {
		return AddressRange{}, fmt.Errorf("%q is neither an IP address, nor a range such as 10.0.0.0/8, nor a glob of host names such as *.example.com", text)
	}
	return AddressRange{glob: glob}, nil
}

// String returns the range in the notation of ParseAddressRange.
func (r AddressRange) String() string {
	if r.glob != "" {
		return r.glob
	}
	if r.prefix.IsSingleIP() {
		return r.prefix.Addr().String()
	}
	return r.prefix.String()
}

// contains reports whether the range contains a host name or, if the name is empty, an IP address.
func (r AddressRange) contains(name string, ip netip.Addr) bool {
	if name != "" {
		return r.glob != "" && catalog.Match(r.glob, name)
	}
	return r.prefix.IsValid() && r.prefix.Contains(ip)
}

// check returns an error if an instance cannot have an address. The error names the configuration that would accept it.
func (a Addresses) check(name string, ip netip.Addr, clusterDomain string) error {
	if err := a.checkOne(name, ip, clusterDomain); err != nil {
		return err
	}
	for _, inner := range embedded(ip) {
		if err := a.checkOne("", inner, clusterDomain); err != nil {
			return fmt.Errorf("address %s contains an IPv4 address: %w", ip, err)
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
		return fmt.Errorf("address %s is denied by %q in mesh.addresses.deny; mesh.addresses.allow has precedence", text, a.Deny[at])
	}
	for _, f := range forbidden {
		if f.contains(name, ip) {
			return fmt.Errorf("address %s is %s; to accept it, set mesh.addresses.allow: [%q]", text, f.meaning, f.AddressRange)
		}
	}
	switch {
	case name == "":
		return nil
	case ofCluster(name, clusterDomain):
		return fmt.Errorf("address %s is a name of the Kubernetes cluster; to accept it, set mesh.addresses.allow: [%q]", text, name)
	case completedToCluster(name):
		return fmt.Errorf("address %s is a short name, which a pod completes to a name of the Kubernetes cluster; register a full name or an IP address; to accept it, set mesh.addresses.allow: [%q]", text, name)
	}
	return nil
}

// forbiddenRange is an entry of the built-in list of rejected addresses.
type forbiddenRange struct {
	AddressRange
	meaning string
}

// forbidden lists the addresses that are rejected unless the configuration allows them.
var forbidden = forbid(
	"loopback",
	"127.0.0.0/8", "0.0.0.0/8", "::1", "localhost", "*.localhost", "localhost.localdomain", "localhost4", "localhost6",
	"localhost4.localdomain4", "localhost6.localdomain6", "ip6-localhost", "ip6-loopback",
).and(
	// AWS: fd00:ec2::254 and others, Google: fd20:ce::254, Alibaba: 100.100.100.200, Azure: 168.63.129.16, Oracle:
	// 192.0.0.192. The addresses of other clouds are link-local.
	"the metadata service of a cloud, which hands out credentials",
	"169.254.169.254", "fd00:ec2::/32", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192",
	"metadata", "metadata.google.internal", "metadata.goog", "metadata.azure.internal", "metadata.tencentyun.com",
	"instance-data", "instance-data.ec2.internal",
).and(
	"link-local: it depends on the caller's network and may be a metadata service", "169.254.0.0/16", "fe80::/10",
)

type forbiddenRanges []forbiddenRange

// forbid returns a list of ranges with the same meaning.
func forbid(meaning string, ranges ...string) forbiddenRanges {
	return forbiddenRanges{}.and(meaning, ranges...)
}

// and appends ranges with the same meaning. It panics on an invalid range, because the list above is constant.
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

// meansNoService reports whether a host has a special meaning to callers, such as localhost, and so cannot be a service.
func meansNoService(host string) bool {
	return slices.ContainsFunc(forbidden, func(f forbiddenRange) bool { return f.contains(host, netip.Addr{}) })
}
