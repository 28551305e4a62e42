package mesh

import (
	"slices"
	"strings"
)

// consulLabel is the name of the service of the Consul servers. Callers reach the API of Consul by its host, and send
// their tokens to it. No other service gets the label, although the service itself is not part of the mesh.
const consulLabel = "consul"

// consulKinds are the labels that separate names of Consul's DNS that are no names of services: nodes, prepared queries,
// and addresses.
var consulKinds = []string{"node", "query", "addr"}

// ofConsulDNS reports whether Consul's DNS answers a host in one of the domains itself:
//
//	ns.DOMAIN, hostmaster.DOMAIN   the name servers
//	service.DOMAIN                 names above others: service, node, query, addr, virtual, connect, ingress, port
//	NAME.node.DOMAIN               nodes, prepared queries and addresses, also in a datacenter
//	consul.service.DOMAIN          the Consul servers, also in a datacenter or by a tag
func ofConsulDNS(host string, domains []string) bool {
	for _, domain := range domains {
		rest, under := strings.CutSuffix(host, "."+domain)
		if !under {
			continue
		}
		labels := strings.Split(rest, ".")
		if len(labels) == 1 {
			return slices.Contains([]string{"ns", "hostmaster", "service", "virtual", "connect", "ingress", "port"}, rest) || slices.Contains(consulKinds, rest)
		}
		for i, label := range labels[1:] {
			if slices.Contains(consulKinds, label) || (label == "service" && labels[i] == consulLabel) {
				return true
			}
		}
	}
	return false
}

// domains returns the domains of all sources.
func (o Options) domains() []string {
	all := []string{o.Domain}
	for _, r := range o.Registries {
		all = append(all, r.Domain)
	}
	return all
}
