package kube

import (
	"maps"
	"slices"
	"sync"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// neighbours knows which hosts somebody else's objects have, and which of our services would have them too.
type neighbours struct {
	mu sync.Mutex
	// claims are those of an object, by its name; byHost are the same by host.
	claims map[string]claim
	byHost map[string]map[string]claim
	// hosts are those that a service of ours would have, wanted the same by host.
	hosts  map[mesh.Name][]string
	wanted map[string][]mesh.Name
	// disputes are what is known of each service's.
	disputes map[mesh.Name][]dispute
	// left are the hosts of each service that are left to others.
	left map[mesh.Name][]string
}

func newNeighbours() neighbours {
	return neighbours{
		claims: map[string]claim{}, byHost: map[string]map[string]claim{},
		hosts: map[mesh.Name][]string{}, wanted: map[string][]mesh.Name{}, disputes: map[mesh.Name][]dispute{},
		left: map[mesh.Name][]string{},
	}
}

// put takes what an object claims now; a claim without hosts is none. It returns the services that this concerns.
func (n *neighbours) put(c claim) []mesh.Name {
	n.mu.Lock()
	defer n.mu.Unlock()
	var concerned []mesh.Name
	key := c.String()
	if n.claims[key].equal(c) {
		return nil
	}
	for _, host := range n.claims[key].hosts {
		if delete(n.byHost[host], key); len(n.byHost[host]) == 0 {
			delete(n.byHost, host)
		}
		concerned = append(concerned, n.wanted[host]...)
	}
	delete(n.claims, key)
	for _, host := range c.hosts {
		if n.byHost[host] == nil {
			n.byHost[host] = map[string]claim{}
		}
		n.byHost[host][key] = c
		concerned = append(concerned, n.wanted[host]...)
	}
	if len(c.hosts) > 0 {
		n.claims[key] = c
	}
	slices.SortFunc(concerned, mesh.Name.Compare)
	return slices.Compact(concerned)
}

// want notes which hosts a service would have, and returns the claims on them, sorted.
func (n *neighbours) want(name mesh.Name, hosts []string) map[string][]claim {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, host := range n.hosts[name] {
		others := slices.DeleteFunc(n.wanted[host], func(other mesh.Name) bool { return other == name })
		if n.wanted[host] = others; len(others) == 0 {
			delete(n.wanted, host)
		}
	}
	if n.hosts[name] = hosts; len(hosts) == 0 {
		delete(n.hosts, name)
	}
	claims := map[string][]claim{}
	for _, host := range hosts {
		n.wanted[host] = append(n.wanted[host], name)
		if len(n.byHost[host]) > 0 {
			claims[host] = slices.SortedFunc(maps.Values(n.byHost[host]), claim.compare)
		}
	}
	return claims
}
