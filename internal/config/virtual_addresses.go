package config

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// VirtualAddresses configures the ranges of virtual addresses.
type VirtualAddresses struct {
	IPv4 string   `json:"ipv4" doc:"Range of IPv4 addresses that are otherwise unused. Empty: none. The default overlaps neither the range of Istio (240.240.0.0/16) nor that of Consul (from 240.0.0.1), and is large enough that two of 10,000 services rarely have the same first choice."`
	IPv6 string   `json:"ipv6" doc:"Range of IPv6 addresses that are otherwise unused, for example fd12:3456:789a:1::/64. Empty: none."`
	Keep Duration `json:"keep" doc:"How long the addresses of a removed service stay reserved. Not less than the removalGrace of kubernetes and of xds, because the ServiceEntry still has them."`
}

// AddressOptions returns the ranges of virtual addresses. The configuration must be valid.
func (c Config) AddressOptions() (vip.Options, error) {
	v := c.VirtualAddresses
	options := vip.Options{Keep: v.Keep.Std()}
	var err error
	if options.IPv4, err = parseRange("virtualAddresses.ipv4", v.IPv4, netip.Addr.Is4); err != nil {
		return options, err
	}
	options.IPv6, err = parseRange("virtualAddresses.ipv6", v.IPv6, netip.Addr.Is6)
	return options, err
}

func parseRange(path, text string, isKind func(netip.Addr) bool) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || !isKind(prefix.Addr()) {
		return netip.Prefix{}, fmt.Errorf("%s: %q is not a range of this address family, for example 244.0.0.0/6 or fd12:3456:789a:1::/64", path, text)
	}
	if err := vip.CheckRange(prefix); err != nil {
		return netip.Prefix{}, fmt.Errorf("%s: %w", path, err)
	}
	return prefix, nil
}

func (c Config) validateAddresses(found *problems) {
	if _, err := c.AddressOptions(); err != nil {
		found.errs = append(found.errs, err)
	}
	const at = "virtualAddresses.keep"
	keep := c.VirtualAddresses.Keep
	if keep.Std() < time.Minute {
		found.fail(at, "%s is less than 1m", keep)
	}
	outlived := func(path string, grace Duration) {
		if keep < grace {
			found.fail(at, "%s is less than %s, %s: an address would be reused while a ServiceEntry has it", keep, path, grace)
		}
	}
	outlived("kubernetes.removalGrace", c.Kubernetes.RemovalGrace)
	outlived("xds.removalGrace", c.XDS.RemovalGrace)
}
