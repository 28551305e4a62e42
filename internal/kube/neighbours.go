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
	wanted map[string]map[mesh.Name]bool
	// disputes are what is known of each service's.
	disputes map[mesh.Name][]dispute
	// left are the hosts of each service that are left to others.
	left map[mesh.Name][]string
}

func newNeighbours() neighbours {
	return neighbours{
		claims: map[string]claim{}, byHost: map[string]map[string]claim{},
		hosts: map[mesh.Name][]string{}, wanted: map[string]map[mesh.Name]bool{}, disputes: map[mesh.Name][]dispute{},
		left: map[mesh.Name][]string{},
	}
}

// put takes what an object claims now; a claim without hosts is none. It returns the services that this concerns.
func (n *neighbours) put(c claim) []mesh.Name {
	n.mu.Lock()
	defer n.mu.Unlock()
	concerned := map[mesh.Name]bool{}
	key := c.String()
	if n.claims[key].equal(c) {
		return nil
	}
	for _, host := range n.claims[key].hosts {
		if delete(n.byHost[host], key); len(n.byHost[host]) == 0 {
			delete(n.byHost, host)
		}
		maps.Copy(concerned, n.wanted[host])
	}
	delete(n.claims, key)
	for _, host := range c.hosts {
		if n.byHost[host] == nil {
			n.byHost[host] = map[string]claim{}
		}
		n.byHost[host][key] = c
		maps.Copy(concerned, n.wanted[host])
	}
	if len(c.hosts) > 0 {
		n.claims[key] = c
	}
	return slices.Collect(maps.Keys(concerned))
}

// want notes which hosts a service would have, and returns the claims on them, sorted.
func (n *neighbours) want(name mesh.Name, hosts []string) map[string][]claim {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, host := range n.hosts[name] {
		if delete(n.wanted[host], name); len(n.wanted[host]) == 0 {
			delete(n.wanted, host)
		}
	}
	if n.hosts[name] = hosts; len(hosts) == 0 {
		delete(n.hosts, name)
	}
	claims := map[string][]claim{}
	for _, host := range hosts {
		if n.wanted[host] == nil {
			n.wanted[host] = map[mesh.Name]bool{}
		}
		n.wanted[host][name] = true
		if len(n.byHost[host]) > 0 {
			claims[host] = slices.SortedFunc(maps.Values(n.byHost[host]), claim.compare)
		}
	}
	return claims
}
