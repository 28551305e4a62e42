// Package object knows the Kubernetes objects that isthmus reads and writes: their scheme, their keys, the service that
// each belongs to, and whether isthmus wrote them.
package object

import (
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

var (
	// Scheme has the types that isthmus reads and writes.
	Scheme = newScheme()
	// Mapper maps these types to resources. It is fixed, so a start needs no discovery.
	Mapper = newMapper()
)

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		networkingv1.AddToScheme, corev1.AddToScheme, coordinationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err) // The libraries register a kind twice: a test would have shown it.
		}
	}
	return scheme
}

func newMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []mesh.Kind{mesh.ServiceEntryKind, mesh.WorkloadEntryKind, mesh.DestinationRuleKind} {
		for _, suffix := range []string{"", "List"} { // The cache looks up a list by its own kind.
			mapper.Add(networkingv1.SchemeGroupVersion.WithKind(string(kind)+suffix), meta.RESTScopeNamespace)
		}
	}
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	for _, kind := range []string{"ConfigMap", "ConfigMapList", "Event", "Service", "ServiceList"} {
		mapper.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	return mapper
}
