package mesh

import (
	"cmp"
	"net/netip"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Networks assigns endpoints to the networks of Istio's multi-network mesh. istiod sends callers of another network to the
// east-west gateway of the endpoint's network, if there is one. The most specific match decides:
//
//	the longest range that contains the IP address   its network
//	the source                                       its network
//	any other                                        no network: each caller connects directly
type Networks struct {
	// Ranges are ranges of addresses.
	Ranges []NetworkRange
	// Sources are the networks by the name of the source.
	Sources map[string]string
}

// NetworkRange is a range of addresses in a network.
type NetworkRange struct {
	Prefix  netip.Prefix
	Network string
}

// of returns the network of an instance with this address; empty for none. A host name is in no range.
func (n Networks) of(service catalog.Key, instance *catalog.Instance, address string) string {
	if len(n.Ranges) > 0 {
		if ip, err := netip.ParseAddr(address); err == nil {
			if network, ok := n.inRange(ip); ok {
				return network
			}
		}
	}
	return n.Sources[cmp.Or(instance.Source, service.Source)] // an instance of a merged service has a source of its own
}

// inRange returns the network of the longest range that contains an address.
func (n Networks) inRange(ip netip.Addr) (network string, ok bool) {
	longest := -1
	for _, r := range n.Ranges {
		if r.Prefix.Contains(ip) && r.Prefix.Bits() > longest {
			network, longest = r.Network, r.Prefix.Bits()
		}
	}
	return network, longest >= 0
}
