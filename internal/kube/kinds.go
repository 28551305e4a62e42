package kube

import (
	"context"
	"fmt"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// kinds are the kinds that are watched and written.
func (o *Output) kinds() []client.Object {
	kinds := []client.Object{&networkingv1.ServiceEntry{}, &networkingv1.WorkloadEntry{}}
	if o.rules {
		kinds = append(kinds, &networkingv1.DestinationRule{})
	}
	return kinds
}

// newObject returns an empty object of a kind.
func newObject(kind mesh.Kind) client.Object {
	switch kind {
	case mesh.ServiceEntryKind:
		return &networkingv1.ServiceEntry{}
	case mesh.DestinationRuleKind:
		return &networkingv1.DestinationRule{}
	default:
		return &networkingv1.WorkloadEntry{}
	}
}

// needRules finds out whether DestinationRules are to be watched: where there may be some to write, or where some of
// ours are left of a time when there were. Who may not look for these removes them by hand, as the documentation says.
func (o *Output) needRules(ctx context.Context, namespaces []string) error {
	o.rules = o.options.DestinationRules
	for _, namespace := range namespaces {
		if o.rules {
			return nil
		}
		var left networkingv1.DestinationRuleList
		err := o.client.List(ctx, &left, client.InNamespace(namespace), client.MatchingLabels{mesh.ManagedByLabel: mesh.ManagedBy})
		if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
			return fmt.Errorf("list DestinationRules in namespace %s: %w", namespace, err)
		}
		for _, rule := range left.Items {
			o.rules = o.rules || ours(rule)
		}
	}
	return nil
}
