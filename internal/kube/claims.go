package kube

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// claim is somebody else's object that has hosts.
type claim struct {
	// kind is "ServiceEntry" or "Service".
	kind            string
	namespace, name string
	since           time.Time
	hosts           []string
	// addresses are those within the ranges of virtual addresses.
	addresses []netip.Prefix
	// exportTo are the namespaces that see a ServiceEntry.
	exportTo []string
}

func (c claim) String() string { return fmt.Sprintf("%s %s/%s", c.kind, c.namespace, c.name) }

func (c claim) equal(other claim) bool {
	return c.since.Equal(other.since) && slices.Equal(c.hosts, other.hosts) && slices.Equal(c.addresses, other.addresses) && slices.Equal(c.exportTo, other.exportTo)
}

func (c claim) compare(other claim) int { return cmp.Compare(c.String(), other.String()) }

// claimOf returns what an object claims; false for one of ours. A Service has the names by which pods call it that don't
// name the cluster: its own in its namespace, and NAME.NAMESPACE everywhere.
func (o *Output) claimOf(object client.Object) (claim, bool) {
	c := claim{namespace: object.GetNamespace(), name: object.GetName(), since: object.GetCreationTimestamp().Time}
	switch object := object.(type) {
	case *networkingv1.ServiceEntry:
		c.kind, c.exportTo = "ServiceEntry", object.Spec.ExportTo
		for _, host := range object.Spec.Hosts {
			c.hosts = append(c.hosts, strings.ToLower(host))
		}
		c.addresses = o.virtual(object.Spec.Addresses)
		for _, address := range object.Status.Addresses { // those that istiod gave
			c.addresses = append(c.addresses, o.virtual([]string{address.Value})...)
		}
		name, named := serviceOf(object)
		return c, !(named && ours(object) && slices.Contains(o.options.Sources, name.Source))
	case *corev1.Service:
		c.kind, c.hosts = "Service", []string{c.name, c.name + "." + c.namespace}
		c.addresses = o.virtual(object.Spec.ClusterIPs)
		return c, true
	default:
		return c, false
	}
}

// virtual returns those of addresses, and of ranges of them, that are within the ranges of virtual addresses.
func (o *Output) virtual(texts []string) (within []netip.Prefix) {
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if address, isAddress := netip.ParseAddr(text); isAddress == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		ranges := o.options.Addresses
		if err == nil && (ranges.IPv4.Overlaps(prefix) || ranges.IPv6.Overlaps(prefix)) {
			within = append(within, prefix.Masked())
		}
	}
	return within
}

// clashes tells whether there is a namespace that sees the addresses of both, whoever has what host.
func (c claim) clashes(objects []mesh.Object) bool {
	theirs, ours := sight{c.namespace, c.exportTo}, sight{objects[0].Namespace, objects[0].Spec.(*networking.ServiceEntry).ExportTo}
	if c.kind == "Service" {
		theirs.exportTo = nil
	}
	return theirs.meets(ours) || theirs.by(c.namespace) && ours.by(c.namespace)
}

// has tells whether an object has a single address, not a range that it is in.
func (c claim) has(address netip.Addr) bool {
	return slices.Contains(c.addresses, netip.PrefixFrom(address, address.BitLen()))
}

// concerns tells whether a claim on a host is of some caller's concern who would see a ServiceEntry of ours: who sees
// both. A ServiceEntry that only its own namespace sees takes a host from nobody, since Istio lets a namespace's own
// go first (pickBestVisibleNamespace in Istio's pilot/pkg/model).
func (c claim) concerns(host, namespace string, entry *networking.ServiceEntry) bool {
	seen := sight{namespace, entry.ExportTo}
	switch {
	case c.kind == "Service" && host == c.name:
		return seen.by(c.namespace)
	case c.kind == "Service":
		return !seen.nobody()
	case c.namespace == namespace:
		return !seen.nobody() && !sight{c.namespace, c.exportTo}.nobody()
	}
	return sight{c.namespace, c.exportTo}.meets(seen)
}

// sight says who sees an object of a namespace, as Istio's exportTo has it.
type sight struct {
	namespace string
	exportTo  []string
}

func (s sight) everybody() bool { return len(s.exportTo) == 0 || slices.Contains(s.exportTo, "*") }
func (s sight) nobody() bool    { return slices.Contains(s.exportTo, "~") }

func (s sight) by(namespace string) bool {
	return s.everybody() || slices.Contains(s.exportTo, namespace) || namespace == s.namespace && slices.Contains(s.exportTo, ".")
}

// meets tells whether a namespace, other than that of the first, may see both.
func (s sight) meets(other sight) bool {
	if s.nobody() || other.nobody() {
		return false
	}
	if s.everybody() && other.everybody() {
		return true
	}
	named := append(slices.Clone(s.exportTo), other.exportTo...)
	return slices.ContainsFunc(append(named, other.namespace), func(namespace string) bool {
		return namespace != "." && namespace != "*" && namespace != s.namespace && s.by(namespace) && other.by(namespace)
	})
}
