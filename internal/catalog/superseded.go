package catalog

import (
	"cmp"
	"net/netip"
	"strings"
)

// host is an address in a canonical form: an IP address or a name.
type host struct {
	ip   netip.Addr
	name string
}

// endpoint is an address and a port in a canonical form. The zero endpoint stands for an instance without one of them.
type endpoint struct {
	host
	port int
}

// endpointOf returns the endpoint of an instance; false if it has no address or no port, or is left out.
func endpointOf(i Instance) (endpoint, bool) {
	if i.LeftOut != 0 || i.Address == "" || i.Port < 1 || i.Port > 65535 {
		return endpoint{}, false
	}
	return endpoint{hostOf(i.Address), i.Port}, true
}

// hostOf returns the canonical form of an address.
func hostOf(address string) host {
	if ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")); err == nil {
		return host{ip: ip.Unmap()}
	}
	return host{name: strings.ToLower(strings.TrimSuffix(address, "."))}
}

// SameAddress reports whether two addresses are the same in different notations.
func SameAddress(a, b string) bool { return a == b || hostOf(a) == hostOf(b) }

// endpointsOf returns the endpoint of each instance.
func endpointsOf(instances []Instance) []endpoint {
	endpoints := make([]endpoint, len(instances))
	for i := range instances {
		endpoints[i], _ = endpointOf(instances[i])
	}
	return endpoints
}

// newer reports whether a registration is newer than another one. Indexes of different datacenters cannot be compared;
// there the first datacenter by name has precedence.
func newer(a, b Instance) bool {
	return cmp.Or(
		cmp.Compare(a.ID.Datacenter, b.ID.Datacenter), cmp.Compare(b.Modified, a.Modified), a.ID.Compare(b.ID),
	) < 0
}

// superseded returns, for each instance with the same endpoint as a newer registration, the index of that registration. The
// result is nil if all endpoints are unique.
func superseded(instances []Instance, endpoints []endpoint) (by map[int]int) {
	newest := make(map[endpoint]int, len(instances))
	for i, e := range endpoints {
		if e == (endpoint{}) {
			continue
		}
		other, taken := newest[e]
		if !taken || newer(instances[i], instances[other]) {
			newest[e] = i
		}
	}
	for i, e := range endpoints {
		if e == (endpoint{}) || newest[e] == i {
			continue
		}
		if by == nil {
			by = map[int]int{}
		}
		by[i] = newest[e]
	}
	return by
}
