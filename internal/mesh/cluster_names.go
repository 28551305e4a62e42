package mesh

import (
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// clusterSetDomain is the domain of services that several clusters share (Multi-Cluster Services API, KEP-1645).
const clusterSetDomain = "clusterset.local"

// ofCluster reports whether a name belongs to the Kubernetes cluster, or to a set of clusters.
func ofCluster(name, clusterDomain string) bool {
	return UnderDomain(name, clusterDomain) || UnderDomain(name, clusterSetDomain) || UnderDomain(name, "svc") || name == "kubernetes" || name == "kubernetes.default"
}

// completedToCluster reports whether the search list of a pod may complete a name to a name of the cluster:
//
//	web                web.NAMESPACE.svc.cluster.local
//	web.default        web.default.svc.cluster.local
//	web-0.web.default  web-0.web.default.svc.cluster.local
//	10-0-0-1.web.pod   10-0-0-1.web.pod.cluster.local
//
// A pod tries the search list first for all these names. A name of three labels is accepted if its last label is a
// top-level domain, public or private, because few namespaces have such a name. So is a name of two labels for the
// oldest top-level domains and those of countries: dev, prod, test and many later ones are common namespaces.
func completedToCluster(name string) bool {
	labels := strings.Split(name, ".")
	last := labels[len(labels)-1]
	_, public := publicsuffix.PublicSuffix("x." + last)
	switch len(labels) {
	case 1:
		return true
	case 2:
		return !public || (len(last) != 2 && !slices.Contains(oldDomains, last))
	case 3:
		return !public && !slices.Contains(privateDomains, last)
	default:
		return last == "pod"
	}
}

var (
	// oldDomains are the top-level domains that existed before 2002, without those of countries.
	oldDomains = []string{"com", "org", "net", "edu", "gov", "mil", "int", "arpa", "info", "biz"}
	// privateDomains are names that networks use as top-level domains, and that the DNS root does not have: RFC 6762,
	// appendix G, RFC 6761, RFC 2606, and Consul's own.
	privateDomains = []string{
		"local", "internal", "intranet", "private", "corp", "home", "lan", "localdomain", "consul", "test", "example", "invalid", "onion", "alt",
	}
)
