package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
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

// specOf returns the spec; with addressesOf, what a benchmark wants to know of an object.
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

func addressesOf(object runtime.Object) (addresses []string) {
	switch spec := specOf(object).(type) {
	case *networking.ServiceEntry:
		for _, endpoint := range spec.GetEndpoints() {
			addresses = append(addresses, endpoint.GetAddress())
		}
	case *networking.WorkloadEntry:
		addresses = append(addresses, spec.GetAddress())
	}
	return addresses
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
		if slices.Contains(addressesOf(object), address) {
			return object, nil
		}
	}
	return nil, fmt.Errorf("no object of %s has %s", service, address)
}

// watchAddresses notes when an address is first seen in a namespace of the API server. The function it returns waits for
// one.
func (b *bed) watchAddresses(t *testing.T, in string) func(address string) time.Time {
	t.Helper()
	start := metav1.ListOptions{Limit: 1}
	list, err := b.istio.NetworkingV1().WorkloadEntries(in).List(t.Context(), start)
	if err != nil {
		t.Fatal(err)
	}
	start = metav1.ListOptions{ResourceVersion: list.ResourceVersion}
	var events watch.Interface
	if b.inline() {
		events, err = b.istio.NetworkingV1().ServiceEntries(in).Watch(t.Context(), start)
	} else {
		events, err = b.istio.NetworkingV1().WorkloadEntries(in).Watch(t.Context(), start)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(events.Stop)
	sightings := make(chan sighting, 1000)
	go func() {
		defer close(sightings)
		for event := range events.ResultChan() {
			sightings <- sighting{addressesOf(event.Object), time.Now()}
		}
	}()
	return func(address string) time.Time {
		deadline := time.After(time.Minute)
		for {
			select {
			case s, open := <-sightings:
				if !open {
					t.Fatalf("the watch ended before %s came", address)
				}
				if slices.Contains(s.addresses, address) {
					return s.at
				}
			case <-deadline:
				t.Fatalf("%s didn't come within a minute", address)
			}
		}
	}
}

type sighting struct {
	addresses []string
	at        time.Time
}
