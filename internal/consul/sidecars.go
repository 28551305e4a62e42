package consul

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// sidecarSuffix is the end of the names under which Consul's agent, Nomad and consul-k8s register the sidecar of a service.
const sidecarSuffix = "-sidecar-proxy"

// sidecar is a proxy of Consul's mesh in transparent mode: it redirects all connections to the instances that it represents,
// and refuses those without the mutual TLS of Consul's mesh. All fields are in lower case.
type sidecar struct {
	// service is the service that the proxy represents.
	service string
	node    string
	// id is the ID of the instance; empty for all instances of the service on the node.
	id string
}

func (s sidecar) compare(other sidecar) int {
	return cmp.Or(cmp.Compare(s.service, other.service), cmp.Compare(s.node, other.node), cmp.Compare(s.id, other.id))
}

// sidecarsOf returns the transparent proxies among Consul's entries of a name, sorted and unique.
func sidecarsOf(name string, entries []*api.ServiceEntry) []sidecar {
	var sidecars []sidecar
	for _, entry := range entries {
		if entry == nil || entry.Node == nil || entry.Service == nil || entry.Service.Kind != api.ServiceKindConnectProxy ||
			entry.Service.Service != name || entry.Service.PeerName != "" || entry.Node.PeerName != "" {
			continue
		}
		proxy := entry.Service.Proxy
		if proxy == nil || proxy.Mode != api.ProxyModeTransparent || proxy.DestinationServiceName == "" {
			continue
		}
		sidecars = append(sidecars, sidecar{
			service: strings.ToLower(proxy.DestinationServiceName),
			node:    strings.ToLower(entry.Node.Node),
			id:      strings.ToLower(proxy.DestinationServiceID),
		})
	}
	slices.SortFunc(sidecars, sidecar.compare)
	return slices.Compact(sidecars)
}

// losesSidecar reports whether a sidecar of before is missing after. Both are sorted.
func losesSidecar(before, after []sidecar) bool {
	return slices.ContainsFunc(before, func(s sidecar) bool {
		_, found := slices.BinarySearchFunc(after, s, sidecar.compare)
		return !found
	})
}

// unionOfSidecars returns the sidecars of both lists, sorted and unique.
func unionOfSidecars(a, b []sidecar) []sidecar {
	all := slices.Concat(a, b)
	slices.SortFunc(all, sidecar.compare)
	return slices.Compact(all)
}

// sidecarIndex has the transparent proxies of a source. selector.mu guards it.
type sidecarIndex struct {
	// byProxy are the sidecars by the name under which the proxies are registered.
	byProxy map[string][]sidecar
	// count is the number of registrations of each sidecar.
	count map[sidecar]int
	// awaited are the services of the initial sync whose sidecars are not read, in lower case.
	awaited map[string]bool
}

func newSidecarIndex() sidecarIndex {
	return sidecarIndex{byProxy: map[string][]sidecar{}, count: map[sidecar]int{}, awaited: map[string]bool{}}
}

// set replaces the sidecars that are registered under a name. It returns the services whose sidecars changed, in lower case.
func (x *sidecarIndex) set(proxy string, sidecars []sidecar) (services []string) {
	before := x.byProxy[proxy]
	if slices.Equal(before, sidecars) {
		return nil
	}
	if x.byProxy[proxy] = sidecars; len(sidecars) == 0 {
		delete(x.byProxy, proxy)
	}
	change := func(s sidecar, by int) {
		was := x.count[s] > 0
		if x.count[s] += by; x.count[s] == 0 {
			delete(x.count, s)
		}
		if was != (x.count[s] > 0) {
			services = append(services, s.service)
		}
	}
	for _, s := range sidecars {
		if _, known := slices.BinarySearchFunc(before, s, sidecar.compare); !known {
			change(s, 1)
		}
	}
	for _, s := range before {
		if _, stays := slices.BinarySearchFunc(sidecars, s, sidecar.compare); !stays {
			change(s, -1)
		}
	}
	slices.Sort(services)
	return slices.Compact(services)
}

// protects reports whether a transparent proxy represents an instance of a service, whose name is in lower case.
func (x *sidecarIndex) protects(service string, instance catalog.InstanceID) bool {
	if len(x.count) == 0 {
		return false
	}
	id := instance.Fold()
	return x.count[sidecar{service, id.Node, id.ServiceID}] > 0 || x.count[sidecar{service, id.Node, ""}] > 0
}

// expect records the services among names whose sidecars have a name of their own in the list: until these are read, the
// services are not reported. Otherwise each start would add endpoints and remove them at once.
func (x *sidecarIndex) expect(names map[string]uint64) {
	for name := range names {
		service, ok := strings.CutSuffix(name, sidecarSuffix)
		if _, listed := names[service]; ok && listed {
			x.awaited[strings.ToLower(service)] = true
		}
	}
}
