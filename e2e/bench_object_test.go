package e2e

import (
	"context"
	"fmt"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// benchObject is a ServiceEntry or a WorkloadEntry.
type benchObject interface {
	runtime.Object
	metav1.Object
}

// kind names the kind of object that an instance's address is in, and its resource.
func (s benchSize) kind() (kind, resource string) {
	if s.inline() {
		return "ServiceEntry", "serviceentries"
	}
	return "WorkloadEntry", "workloadentries"
}

// specOf returns the spec of a ServiceEntry or WorkloadEntry.
func specOf(object runtime.Object) any {
	switch o := object.(type) {
	case *networkingv1.ServiceEntry:
		return &o.Spec
	case *networkingv1.WorkloadEntry:
		return &o.Spec
	default:
		return nil
	}
}

// object returns the object of a service that has an address.
func (b *bed) object(ctx context.Context, service, address string) (benchObject, error) {
	var all []benchObject
	which := metav1.ListOptions{LabelSelector: "isthmus-mesh.github.io/service=" + service}
	if b.inline() {
		list, err := b.istio.NetworkingV1().ServiceEntries(namespace).List(ctx, which)
		if err != nil {
			return nil, err
		}
		for _, item := range list.Items {
			all = append(all, item)
		}
	} else {
		list, err := b.istio.NetworkingV1().WorkloadEntries(namespace).List(ctx, which)
		if err != nil {
			return nil, err
		}
		for _, item := range list.Items {
			all = append(all, item)
		}
	}
	for _, object := range all {
		_, endpoints := endpointsOf(object)
		if slices.ContainsFunc(endpoints, func(e *networking.WorkloadEntry) bool { return e.GetAddress() == address }) {
			return object, nil
		}
	}
	return nil, fmt.Errorf("no object of %s has %s", service, address)
}
