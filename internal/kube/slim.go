package kube

import (
	"maps"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// slim drops what the cache need not hold. What stands as it is desired, as nearly everything does, refers to what is
// desired; and what inline endpoints say alike is held once. Of 100,000 endpoints that is more than 100 MB.
func (o *Output) slim(object any) (any, error) {
	if standing, ok := object.(client.Object); ok && !o.share(standing) {
		if entry, ok := standing.(*networkingv1.ServiceEntry); ok {
			mesh.ShareEndpoints(entry.Spec.Endpoints)
		}
	}
	return keepOwnMark(object)
}

// share has an object that stands as it is desired refer to the parts of that. Neither is ever changed. It returns whether
// it stands so.
func (o *Output) share(standing client.Object) bool {
	name, ok := serviceOf(standing)
	if !ok {
		return false
	}
	for _, wanted := range o.state.Desired(name).Objects {
		if refer(wanted) != referStanding(standing) || !proto.Equal(specOf(standing), wanted.Spec) {
			continue
		}
		if maps.Equal(standing.GetLabels(), wanted.Labels) {
			standing.SetLabels(wanted.Labels)
		}
		if maps.Equal(standing.GetAnnotations(), wanted.Annotations) {
			standing.SetAnnotations(wanted.Annotations)
		}
		switch standing := standing.(type) {
		case *networkingv1.ServiceEntry:
			spec := wanted.Spec.(*networking.ServiceEntry)
			standing.Spec.Endpoints, standing.Spec.Ports, standing.Spec.Hosts = spec.Endpoints, spec.Ports, spec.Hosts
		case *networkingv1.WorkloadEntry:
			spec := wanted.Spec.(*networking.WorkloadEntry)
			standing.Spec.Labels, standing.Spec.Ports = spec.Labels, spec.Ports
		}
		return true
	}
	return false
}

// keepOwnMark drops who manages which field, which fills half an object. That we applied it is what stays.
func keepOwnMark(object any) (any, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return object, nil //nolint:nilerr // not an object: a tombstone
	}
	var mark []metav1.ManagedFieldsEntry
	if entry := application(accessor.GetManagedFields()); entry != nil {
		mark = []metav1.ManagedFieldsEntry{{Manager: entry.Manager, Operation: entry.Operation, Time: entry.Time}}
	}
	accessor.SetManagedFields(mark)
	return object, nil
}
