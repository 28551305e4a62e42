package kube

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// live returns the cached objects under the names of a service's objects, including foreign ones.
func (o *Output) live(ctx context.Context, name mesh.Name) (map[object.Key]client.Object, error) {
	return o.list(ctx, client.MatchingFields{serviceIndex: name.String()})
}

// liveNames returns all services that have objects of ours.
func (o *Output) liveNames(ctx context.Context) (map[mesh.Name]bool, error) {
	all, err := o.list(ctx)
	if err != nil {
		return nil, err
	}
	names := map[mesh.Name]bool{}
	for _, live := range all {
		if name, ok := object.ServiceOf(live); ok && object.IsOurs(live) {
			names[name] = true
		}
	}
	return names, nil
}

// list returns objects from the cache without a copy. The caller must not change them.
func (o *Output) list(ctx context.Context, options ...client.ListOption) (map[object.Key]client.Object, error) {
	options = append(options, client.UnsafeDisableDeepCopy)
	var (
		serviceEntries  networkingv1.ServiceEntryList
		workloadEntries networkingv1.WorkloadEntryList
		rules           networkingv1.DestinationRuleList
	)
	lists := []client.ObjectList{&serviceEntries, &workloadEntries}
	if o.watchesRules {
		lists = append(lists, &rules)
	}
	for _, list := range lists {
		if err := o.cache.List(ctx, list, options...); err != nil {
			return nil, fmt.Errorf("list objects from the cache: %w", err)
		}
	}
	all := make(map[object.Key]client.Object, len(serviceEntries.Items)+len(workloadEntries.Items))
	for _, live := range serviceEntries.Items {
		all[object.LiveKeyOf(live)] = live
	}
	for _, live := range workloadEntries.Items {
		all[object.LiveKeyOf(live)] = live
	}
	for _, live := range rules.Items {
		all[object.LiveKeyOf(live)] = live
	}
	return all, nil
}

// matches reports whether a live object is as desired: it has the same spec, and our labels and annotations among those
// that others may have added.
func matches(live client.Object, wanted mesh.Object) bool {
	return contains(live.GetLabels(), wanted.Labels) &&
		contains(live.GetAnnotations(), wanted.Annotations) &&
		live.GetAnnotations()[mesh.RuleKeysAnnotation] == wanted.Annotations[mesh.RuleKeysAnnotation] &&
		len(overridingLabels(live.GetLabels(), wanted)) == 0 &&
		proto.Equal(object.SpecOf(live), wanted.Spec)
}

// overridingLabels returns the labels of a WorkloadEntry that another client set and that override a label of its
// endpoint: istiod prefers the labels of the object to those of its spec (ConvertWorkloadEntry in Istio's
// pilot/pkg/serviceregistry).
func overridingLabels(labels map[string]string, wanted mesh.Object) []string {
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

func contains(all, some map[string]string) bool {
	for key, value := range some {
		if got, ok := all[key]; !ok || got != value {
			return false
		}
	}
	return true
}
