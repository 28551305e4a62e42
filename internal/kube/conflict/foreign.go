package conflict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

const (
	serviceEntryKind = "ServiceEntry"
	serviceKind      = "Service"
)

// Foreign is an object that isthmus did not write and that has hosts or virtual addresses.
type Foreign struct {
	// kind is serviceEntryKind or serviceKind.
	kind            string
	namespace, name string
	created         time.Time
	// hosts are in lower case.
	hosts []string
	// addresses are the addresses and ranges that overlap the ranges of virtual addresses.
	addresses []netip.Prefix
	// exportTo is the exportTo of a ServiceEntry.
	exportTo []string
}

// String returns the kind, the namespace and the name. It identifies the object.
func (f Foreign) String() string { return fmt.Sprintf("%s %s/%s", f.kind, f.namespace, f.name) }

func (f Foreign) equal(other Foreign) bool {
	return f.created.Equal(other.created) && slices.Equal(f.hosts, other.hosts) &&
		slices.Equal(f.addresses, other.addresses) && slices.Equal(f.exportTo, other.exportTo)
}

// hasAddress reports whether the object has a single address. A range that contains the address does not count.
func (f Foreign) hasAddress(address netip.Addr) bool {
	return slices.Contains(f.addresses, single(address))
}

func (f Foreign) isNoService() bool { return f.kind != serviceKind }

// hasCompleteHost reports whether the object is the Service with a complete host. Istio prefers it to any ServiceEntry.
func (f Foreign) hasCompleteHost(host string) bool {
	short, ok := serviceOfHost(host)
	return ok && f.kind == serviceKind && short == f.name+"."+f.namespace
}

// serviceOfHost returns NAME.NAMESPACE if a host is the complete host of a Service, in the usual domain of clusters or in
// that of sets of clusters. isthmus takes no host under mesh.clusterDomain, so such a host means that the cluster has
// another domain than the configuration says.
func serviceOfHost(host string) (short string, ok bool) {
	for _, suffix := range []string{".svc.cluster.local", ".svc.clusterset.local"} {
		if short, ok = strings.CutSuffix(host, suffix); ok {
			return short, strings.Count(short, ".") == 1
		}
	}
	return "", false
}

func single(address netip.Addr) netip.Prefix { return netip.PrefixFrom(address, address.BitLen()) }

// Parser reads foreign objects.
type Parser struct {
	// Ranges are the ranges of virtual addresses. Addresses outside them cause no conflict.
	Ranges vip.Options
	// Sources are the sources of this isthmus. ServiceEntries that isthmus wrote for another source are foreign.
	Sources []string
}

// Parse returns the hosts and addresses of an object, and false if the object is one of ours.
//
// The hosts of a Service are the names without the cluster's domain by which pods call it: NAME in its own namespace,
// NAME.NAMESPACE in all namespaces.
func (p Parser) Parse(live client.Object) (Foreign, bool) {
	f := Foreign{namespace: live.GetNamespace(), name: live.GetName(), created: live.GetCreationTimestamp().Time}
	switch live := live.(type) {
	case *networkingv1.ServiceEntry:
		f.kind, f.exportTo = serviceEntryKind, live.Spec.ExportTo
		for _, host := range live.Spec.Hosts {
			f.hosts = append(f.hosts, strings.ToLower(host))
		}
		f.addresses = p.virtual(live.Spec.Addresses)
		for _, address := range live.Status.Addresses { // istiod assigned these.
			f.addresses = append(f.addresses, p.virtual([]string{address.Value})...)
		}
		return f, !p.isOurs(live)
	case *corev1.Service:
		f.kind, f.hosts = serviceKind, []string{f.name, f.name + "." + f.namespace}
		f.addresses = p.virtual(live.Spec.ClusterIPs)
		return f, true
	default:
		return f, false
	}
}

func (p Parser) isOurs(live *networkingv1.ServiceEntry) bool {
	name, ok := object.ServiceOf(live)
	return ok && object.IsOurs(live) && slices.Contains(p.Sources, name.Source)
}

// virtual returns the addresses and the CIDR ranges that overlap the ranges of virtual addresses.
func (p Parser) virtual(texts []string) (overlapping []netip.Prefix) {
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if address, notAddress := netip.ParseAddr(text); notAddress == nil {
			prefix, err = single(address), nil
		}
		if err == nil && (p.Ranges.IPv4.Overlaps(prefix) || p.Ranges.IPv6.Overlaps(prefix)) {
			overlapping = append(overlapping, prefix.Masked())
		}
	}
	return overlapping
}

// stripUnused is a cache transform. It drops the parts of an object that Parse does not read.
func stripUnused(live any) (any, error) {
	stripped, err := object.StripManagedFields(live)
	switch live := stripped.(type) {
	case *networkingv1.ServiceEntry:
		hosts, addresses, assigned, exportTo := live.Spec.Hosts, live.Spec.Addresses, live.Status.Addresses, live.Spec.ExportTo
		live.Spec.Reset()
		live.Status.Reset()
		live.Labels, live.Annotations = nil, nil
		live.Spec.Hosts, live.Spec.Addresses, live.Status.Addresses, live.Spec.ExportTo = hosts, addresses, assigned, exportTo
	case *corev1.Service:
		live.Labels, live.Annotations, live.Status = nil, nil, corev1.ServiceStatus{}
		live.Spec = corev1.ServiceSpec{ClusterIPs: live.Spec.ClusterIPs}
	}
	return stripped, err
}

// Service is a service of isthmus, as the resolution sees it.
type Service struct {
	Name mesh.Name
	// Desired are the desired objects, the ServiceEntry first; none for a service that is removed.
	Desired []mesh.Object
	// Live are the live objects under the service's names.
	Live map[object.Key]client.Object
}
