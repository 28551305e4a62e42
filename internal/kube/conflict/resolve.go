package conflict

import (
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// resolveHosts returns the conflicts over the hosts of a service, in the order of the hosts. Foreign are the foreign
// objects by host.
func resolveHosts(service Service, foreign map[string][]Foreign) (conflicts []Conflict) {
	ours := visibilityOf(service.Desired[0])
	for _, host := range hostsOf(service) {
		for _, f := range foreign[host] {
			if f.affectsHost(host, ours) {
				conflicts = append(conflicts, Conflict{
					Service: service.Name.String(), Host: host, Object: f.String(),
					Outcome: outcome(!f.hasCompleteHost(host) && service.ownsHost(host, f.created)),
				})
			}
		}
	}
	return conflicts
}

// resolveAddresses returns the conflicts over the virtual addresses of a service. Foreign are the foreign objects by
// address.
func resolveAddresses(service Service, foreign map[netip.Addr][]Foreign) (conflicts []Conflict) {
	for _, address := range mesh.AddressesOf(service.Desired) {
		for _, f := range foreign[address] {
			if f.affectsAddress(visibilityOf(service.Desired[0])) {
				conflicts = append(conflicts, Conflict{
					Service: service.Name.String(), Address: address, Object: f.String(),
					Outcome: outcome(!f.hasAddress(address) || service.ownsAddress(address, f.created)),
				})
			}
		}
	}
	return conflicts
}

func outcome(kept bool) Outcome {
	if kept {
		return Kept
	}
	return Yielded
}

// hostsOf returns the desired hosts of a service.
func hostsOf(service Service) []string {
	if len(service.Desired) == 0 {
		return nil
	}
	return service.Desired[0].Spec.(*networking.ServiceEntry).Hosts
}

// yieldedHosts returns the hosts that a service yields, in the order of the conflicts, each once.
func yieldedHosts(conflicts []Conflict) (hosts []string) {
	for _, c := range conflicts {
		if c.Outcome == Yielded && !slices.Contains(hosts, c.Host) {
			hosts = append(hosts, c.Host)
		}
	}
	return hosts
}

// ownsHost reports whether a live ServiceEntry of ours has the host and is older than a foreign object.
func (s Service) ownsHost(host string, created time.Time) bool {
	return s.isOlder(created, func(spec *networking.ServiceEntry) bool { return slices.Contains(spec.Hosts, host) })
}

// ownsAddress reports whether a live ServiceEntry of ours has the address and is older than a foreign object.
func (s Service) ownsAddress(address netip.Addr, created time.Time) bool {
	return s.isOlder(created, func(spec *networking.ServiceEntry) bool {
		return slices.Contains(spec.Addresses, address.String())
	})
}

// isOlder reports whether a live ServiceEntry of ours satisfies has and was created before a foreign object.
func (s Service) isOlder(created time.Time, has func(*networking.ServiceEntry) bool) bool {
	for _, live := range s.Live {
		entry, ok := live.(*networkingv1.ServiceEntry)
		if ok && object.IsOurs(entry) && entry.CreationTimestamp.Time.Before(created) && has(&entry.Spec) {
			return true
		}
	}
	return false
}

// dropHosts returns the desired objects of a service without some of its hosts, and nil if no host is left. It changes
// no object in place.
func dropHosts(desired []mesh.Object, yielded []string) []mesh.Object {
	if len(yielded) == 0 {
		return desired
	}
	isYielded := func(host string) bool { return slices.Contains(yielded, host) }
	entry := proto.Clone(desired[0].Spec).(*networking.ServiceEntry)
	if entry.Hosts = slices.DeleteFunc(entry.Hosts, isYielded); len(entry.Hosts) == 0 {
		return nil
	}
	kept := slices.DeleteFunc(slices.Clone(desired), func(o mesh.Object) bool {
		rule, ok := o.Spec.(*networking.DestinationRule)
		return ok && isYielded(rule.Host)
	})
	kept[0].Spec = entry
	return kept
}
