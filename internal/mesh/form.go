package mesh

import (
	"net/netip"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
)

// Form is the representation of a service's endpoints.
type Form string

const (
	// AutoForm chooses for each service: InlineForm if an instance has or had an address that may be a pod's
	// (Options.PodRanges), otherwise WorkloadEntryForm.
	//
	// istiod builds the inbound listeners of a sidecar from the WorkloadEntry with the address of the sidecar, if there is
	// one, in any namespace (GetProxyServiceTargets in pilot/pkg/serviceregistry/kube/controller). A WorkloadEntry with the
	// address of a pod therefore takes away the per-port inbound configuration of that pod. Inline endpoints do not.
	AutoForm Form = "auto"
	// WorkloadEntryForm writes one WorkloadEntry for each instance; the ServiceEntry selects them by label.
	WorkloadEntryForm Form = "workloadEntry"
	// InlineForm writes the instances into the ServiceEntry: one object for each service, which suits large catalogs.
	InlineForm Form = "inline"
)

// PodAddressAnnotation holds the address for which AutoForm writes inline endpoints. It keeps the form of a service stable
// while instances with such addresses come and go, across restarts and changes of the leader.
const PodAddressAnnotation = prefix + "pod-address"

// DefaultPodRanges returns the private address ranges: in most clusters the address of a pod is in one of them.
func DefaultPodRanges() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),     // RFC 1918
		netip.MustParsePrefix("172.16.0.0/12"),  // RFC 1918
		netip.MustParsePrefix("192.168.0.0/16"), // RFC 1918
		netip.MustParsePrefix("100.64.0.0/10"),  // RFC 6598, which some clouds give to pods
		netip.MustParsePrefix("fc00::/7"),       // RFC 4193
	}
}

// PodAddressOf returns the address for which a service's objects have inline endpoints. It is not valid if there is none.
func PodAddressOf(objects []Object) netip.Addr {
	entry, _ := serviceEntryOf(objects)
	address, err := netip.ParseAddr(entry.Annotations[PodAddressAnnotation])
	if err != nil {
		return netip.Addr{}
	}
	return address
}

// mayBePod reports whether an address may be that of a pod.
func (o Options) mayBePod(address netip.Addr) bool {
	return slices.ContainsFunc(o.PodRanges, func(pods netip.Prefix) bool { return pods.Contains(address) })
}

// resolveForm replaces AutoForm by the form of a service. PodAddress becomes the address that requires inline endpoints:
// the earlier one while it is in PodRanges, otherwise the lowest one of the endpoints. All endpoints count, whatever their
// health, so the form does not change with health.
func (o *Options) resolveForm(endpoints []endpoint, report *report) {
	lowest, count := o.podAddresses(endpoints)
	switch {
	case o.Form == WorkloadEntryForm && count > 0:
		report.podAddresses(count)
		fallthrough
	case o.Form != AutoForm:
		o.PodAddress = netip.Addr{}
	default:
		if !o.mayBePod(o.PodAddress) {
			o.PodAddress = lowest
		}
		if o.Form = WorkloadEntryForm; o.PodAddress.IsValid() {
			o.Form = InlineForm
		}
	}
}

// podAddresses returns the lowest address of the endpoints that may be a pod's, and the number of such endpoints. Host
// names do not count: istiod finds the WorkloadEntry of a sidecar by IP address.
func (o *Options) podAddresses(endpoints []endpoint) (lowest netip.Addr, count int) {
	for _, e := range endpoints {
		if e.byName {
			continue
		}
		address, err := netip.ParseAddr(e.entry.Address)
		if err != nil || !o.mayBePod(address) {
			continue
		}
		if count++; !lowest.IsValid() || address.Less(lowest) {
			lowest = address
		}
	}
	return lowest, count
}

// notePodAddress records on the ServiceEntry the address that requires inline endpoints.
func (o *Options) notePodAddress(entry *Object) {
	if o.PodAddress.IsValid() {
		entry.Annotations[PodAddressAnnotation] = o.PodAddress.String()
	}
}

// SelectsWorkloads reports whether an object is a ServiceEntry that selects WorkloadEntries.
func (o Object) SelectsWorkloads() bool {
	entry, ok := o.Spec.(*networking.ServiceEntry)
	return ok && entry.WorkloadSelector != nil
}
