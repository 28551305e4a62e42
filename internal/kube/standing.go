package kube

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// standing returns the objects that the cache holds under the names of a service's objects, foreign ones too.
func (o *Output) standing(ctx context.Context, name mesh.Name) (map[reference]client.Object, error) {
	return o.listed(ctx, client.MatchingFields{serviceIndex: name.String()})
}

// standingNames returns all services that have objects of ours.
func (o *Output) standingNames(ctx context.Context) (map[mesh.Name]bool, error) {
	objects, err := o.listed(ctx)
	if err != nil {
		return nil, err
	}
	names := map[mesh.Name]bool{}
	for _, object := range objects {
		if name, ok := serviceOf(object); ok && ours(object) {
			names[name] = true
		}
	}
	return names, nil
}

// listed reads from the cache without copying: its objects are never changed.
func (o *Output) listed(ctx context.Context, options ...client.ListOption) (map[reference]client.Object, error) {
	options = append(options, client.UnsafeDisableDeepCopy)
	var (
		serviceEntries  networkingv1.ServiceEntryList
		workloadEntries networkingv1.WorkloadEntryList
		rules           networkingv1.DestinationRuleList
	)
	lists := []client.ObjectList{&serviceEntries, &workloadEntries}
	if o.rules {
		lists = append(lists, &rules)
	}
	for _, list := range lists {
		if err := o.cache.List(ctx, list, options...); err != nil {
			return nil, fmt.Errorf("read the cache: %w", err)
		}
	}
	objects := make(map[reference]client.Object, len(serviceEntries.Items)+len(workloadEntries.Items))
	for _, object := range serviceEntries.Items {
		objects[referStanding(object)] = object
	}
	for _, object := range workloadEntries.Items {
		objects[referStanding(object)] = object
	}
	for _, object := range rules.Items {
		objects[referStanding(object)] = object
	}
	return objects, nil
}

// holds tells whether what stands is what is wanted: the same spec, and our labels and annotations among those
// that others may have added.
func holds(standing client.Object, wanted mesh.Object) bool {
	return contains(standing.GetLabels(), wanted.Labels) &&
		contains(standing.GetAnnotations(), wanted.Annotations) &&
		len(overriding(standing.GetLabels(), wanted)) == 0 &&
		proto.Equal(specOf(standing), wanted.Spec)
}

// overriding returns the labels of an object that somebody else set and that change an endpoint's own: istiod lets a
// WorkloadEntry's labels go before those of its spec (ConvertWorkloadEntry in Istio's pilot/pkg/serviceregistry).
func overriding(labels map[string]string, wanted mesh.Object) []string {
	workload, ok := wanted.Spec.(*networking.WorkloadEntry)
	if !ok {
		return nil
	}
	var keys []string
	for key, value := range labels {
		own, set := workload.Labels[key]
		if _, ours := wanted.Labels[key]; set && !ours && own != value {
			keys = append(keys, key)
		}
	}
	return keys
}

func specOf(object client.Object) proto.Message {
	switch object := object.(type) {
	case *networkingv1.ServiceEntry:
		return &object.Spec
	case *networkingv1.WorkloadEntry:
		return &object.Spec
	case *networkingv1.DestinationRule:
		return &object.Spec
	default:
		return nil
	}
}

func contains(all, some map[string]string) bool {
	for key, value := range some {
		if got, ok := all[key]; !ok || got != value {
			return false
		}
	}
	return true
}
