package object

import (
	"fmt"
	"net/netip"

	"google.golang.org/protobuf/proto"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// New returns an empty object of a kind.
func New(kind mesh.Kind) client.Object {
	switch kind {
	case mesh.ServiceEntryKind:
		return &networkingv1.ServiceEntry{}
	case mesh.WorkloadEntryKind:
		return &networkingv1.WorkloadEntry{}
	case mesh.DestinationRuleKind:
		return &networkingv1.DestinationRule{}
	default:
		panic(fmt.Sprintf("isthmus writes no objects of kind %q", kind))
	}
}

// KindOf returns the kind of an object, and "" for a kind that isthmus does not write.
func KindOf(live client.Object) mesh.Kind {
	switch live.(type) {
	case *networkingv1.ServiceEntry:
		return mesh.ServiceEntryKind
	case *networkingv1.WorkloadEntry:
		return mesh.WorkloadEntryKind
	case *networkingv1.DestinationRule:
		return mesh.DestinationRuleKind
	default:
		return ""
	}
}

// SpecOf returns the spec of an object, and nil for a kind that isthmus does not write.
func SpecOf(live client.Object) proto.Message {
	switch live := live.(type) {
	case *networkingv1.ServiceEntry:
		return &live.Spec
	case *networkingv1.WorkloadEntry:
		return &live.Spec
	case *networkingv1.DestinationRule:
		return &live.Spec
	default:
		return nil
	}
}

// ServiceOf returns the service that an object belongs to, which its name encodes. It returns false for a name or a
// kind that isthmus never writes.
func ServiceOf(live client.Object) (mesh.Name, bool) {
	kind := KindOf(live)
	if kind == "" {
		return mesh.Name{}, false
	}
	return mesh.ParseObjectName(kind, live.GetName())
}

// AddressesOf returns the service and the virtual addresses of a ServiceEntry that isthmus wrote. It returns no
// addresses for a foreign one.
func AddressesOf(live *networkingv1.ServiceEntry) (mesh.Name, []netip.Addr) {
	name, ok := ServiceOf(live)
	if !ok || !IsOurs(live) {
		return name, nil
	}
	return name, mesh.AddressesOf([]mesh.Object{{Spec: &live.Spec}})
}
