package catalog

import (
	"cmp"
	"net/netip"
	"strings"
)

// endpoint is an address and a port in a canonical form.
type endpoint struct {
	ip   netip.AddrPort
	name string
	port int
}

// endpointOf returns the endpoint of an instance; false if it has no address or no port.
func endpointOf(i Instance) (endpoint, bool) {
	if i.Address == "" || i.Port < 1 || i.Port > 65535 {
		return endpoint{}, false
	}
	if ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(i.Address, "["), "]")); err == nil {
		return endpoint{ip: netip.AddrPortFrom(ip.Unmap(), uint16(i.Port))}, true
	}
	return endpoint{name: strings.ToLower(strings.TrimSuffix(i.Address, ".")), port: i.Port}, true
}

// newer reports whether a registration is newer than another one. Indexes of different datacenters cannot be compared;
// there the first datacenter by name has precedence.
func newer(a, b Instance) bool {
	return cmp.Or(
		cmp.Compare(a.ID.Datacenter, b.ID.Datacenter), cmp.Compare(b.Modified, a.Modified), a.ID.Compare(b.ID),
	) < 0
}

// Superseded returns, for each instance with the same address and port as a newer registration, the index of that
// registration. The result is nil if all endpoints are unique.
func Superseded(instances []Instance) (by map[int]int) {
	if len(instances) < 2 {
		return nil
	}
	newest := make(map[endpoint]int, len(instances))
	for i := range instances {
		e, ok := endpointOf(instances[i])
		if !ok {
			continue
		}
		other, taken := newest[e]
		if !taken || newer(instances[i], instances[other]) {
			newest[e] = i
		}
	}
	for i := range instances {
		e, ok := endpointOf(instances[i])
		if !ok || newest[e] == i {
			continue
		}
		if by == nil {
			by = map[int]int{}
		}
		by[i] = newest[e]
	}
	return by
}

// MarkSuperseded sets the field Superseded of all instances.
func MarkSuperseded(instances []Instance) {
	by := Superseded(instances)
	for i := range instances {
		_, instances[i].Superseded = by[i]
	}
}

// Endpoints returns the number of instances that are not superseded.
func (s Service) Endpoints() int {
	count := 0
	for i := range s.Instances {
		if !s.Instances[i].Superseded {
			count++
		}
	}
	return count
}
