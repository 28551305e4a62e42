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

// describe returns the kind, the resource and the spec of an object.
func describe(object benchObject) (kind, resource string, spec any) {
	switch o := object.(type) {
	case *networkingv1.ServiceEntry:
		return "ServiceEntry", "serviceentries", &o.Spec
	case *networkingv1.WorkloadEntry:
		return "WorkloadEntry", "workloadentries", &o.Spec
	default:
		return "", "", nil
	}
}

// objectsWith returns the objects of isthmus with a label, or all.
func (b *bed) objectsWith(ctx context.Context, label string) (all []benchObject, err error) {
	entries, err := b.istio.NetworkingV1().ServiceEntries(namespace).List(ctx, metav1.ListOptions{LabelSelector: label})
	if err != nil {
		return nil, err
	}
	workloads, err := b.istio.NetworkingV1().WorkloadEntries(namespace).List(ctx, metav1.ListOptions{LabelSelector: label})
	if err != nil {
		return nil, err
	}
	for _, entry := range entries.Items {
		all = append(all, entry)
	}
	for _, workload := range workloads.Items {
		all = append(all, workload)
	}
	return all, nil
}

// object returns the object of a service that has an address.
func (b *bed) object(ctx context.Context, service, address string) (benchObject, error) {
	all, err := b.objectsWith(ctx, "isthmus-mesh.github.io/service="+service)
	if err != nil {
		return nil, err
	}
	for _, object := range all {
		_, endpoints := endpointsOf(object)
		if slices.ContainsFunc(endpoints, func(e *networking.WorkloadEntry) bool { return e.GetAddress() == address }) {
			return object, nil
		}
	}
	return nil, fmt.Errorf("no object of %s has %s", service, address)
}
