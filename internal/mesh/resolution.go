package mesh

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

// resolution returns STATIC if all addresses are IP addresses, and DNS if at least one is a host name. With DNS, Envoy
// resolves host names itself and uses IP addresses as they are.
func resolution(endpoints []endpoint) networking.ServiceEntry_Resolution {
	if slices.ContainsFunc(endpoints, func(e endpoint) bool { return e.byName }) {
		return networking.ServiceEntry_DNS
	}
	return networking.ServiceEntry_STATIC
}

// withoutNames removes the endpoints with host names from a service of IP addresses. One name would turn the whole service
// into one that each Envoy resolves, and the cluster's type would change with each instance of this kind. All instances
// count, healthy or not:
//
//	more IP addresses than names                 the names are left out
//	as many, and a name has one label only       the names are left out: Envoy can hardly resolve such a name
//	else                                         all stay
//
// Names of one label are, for example, the IDs of containers.
func withoutNames(endpoints []endpoint, report *report) []endpoint {
	names, bare := 0, 0
	for _, e := range endpoints {
		if e.byName {
			names++
			if !strings.Contains(e.entry.Address, ".") {
				bare++
			}
		}
	}
	addresses := len(endpoints) - names
	if names == 0 || addresses < names || addresses == names && bare == 0 {
		return endpoints
	}
	return slices.DeleteFunc(endpoints, func(e endpoint) bool {
		if e.byName {
			report.instance(MixedAddresses, *e.instance, fmt.Sprintf(
				"address %s is a host name, and most instances have IP addresses; the instance is skipped, because Envoy would have to resolve the whole service", clip(e.entry.Address),
			))
		}
		return e.byName
	})
}
