package kube

import (
	"context"
	"fmt"
	"time"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/logonce"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/wait"
)

// setUp creates the namespaces, checks the permissions, and returns the namespaces to watch: those of the placement, and
// those that remain from an earlier placement. It waits for an API server that does not respond, and fails if only an
// operator can help.
func (o *Output) setUp(ctx context.Context) (namespaces []string, err error) {
	var unreachable logonce.Condition
	wait.Until(ctx, time.Second, func() bool {
		namespaces, err = o.trySetUp(ctx)
		if err == nil || isSetUpFailure(err) {
			return true
		}
		if unreachable.Begin() {
			o.log.Warn("API server unreachable, waiting for it", "address", o.options.REST.Host, "error", err)
		}
		return false
	})
	if ctx.Err() != nil {
		return nil, nil
	}
	return namespaces, err
}

// isSetUpFailure reports whether a retry can't solve an error of the setup.
func isSetUpFailure(err error) bool {
	return isResponse(err) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsTimeout(err) &&
		!apierrors.IsTooManyRequests(err) && !apierrors.IsInternalError(err)
}

func (o *Output) trySetUp(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	namespaces, err := o.setUpNamespaces(ctx)
	if err != nil {
		return nil, err
	}
	if err := o.checkPermissions(ctx, namespaces[0]); err != nil {
		return nil, err
	}
	if err := o.checkRules(ctx, namespaces); err != nil {
		return nil, err
	}
	return namespaces, o.watcher.CheckAccess(ctx, o.client)
}

// checkPermissions checks the first namespace, which stands for all shards, the namespaces that the configuration names,
// because these may belong to others, and the ConfigMap of the holds.
func (o *Output) checkPermissions(ctx context.Context, first string) error {
	for _, namespace := range append([]string{first}, o.options.Placement.Named()...) {
		if err := o.checkNamespace(ctx, namespace); err != nil {
			return err
		}
	}
	holds := o.options.Holds
	err := o.client.List(ctx, &corev1.ConfigMapList{}, client.InNamespace(holds.Namespace), client.MatchingFields{"metadata.name": holds.Name})
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("isthmus needs get, list, watch, create and update on ConfigMap %s, which has the held removals: %w", holds, err)
	}
	return err
}

// checkNamespace lists the objects that the watch will list, because the watch itself would retry for ever.
func (o *Output) checkNamespace(ctx context.Context, namespace string) error {
	lists, resources := []client.ObjectList{&networkingv1.ServiceEntryList{}, &networkingv1.WorkloadEntryList{}}, "serviceentries and workloadentries"
	if o.options.DestinationRules {
		lists, resources = append(lists, &networkingv1.DestinationRuleList{}), "serviceentries, workloadentries and, for mesh.tlsOrigination, destinationrules"
	}
	for _, list := range lists {
		err := o.client.List(ctx, list, client.InNamespace(namespace), client.Limit(1))
		switch {
		case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
			return fmt.Errorf("the API server does not have Istio's %T: install Istio's CRDs (Helm chart istio/base)", list)
		case apierrors.IsForbidden(err):
			return fmt.Errorf("isthmus needs get, list, watch, create, patch, update and delete on %s "+
				"of networking.istio.io in namespace %s: %w", resources, namespace, err)
		case err != nil:
			return fmt.Errorf("list objects in namespace %s: %w", namespace, err)
		}
	}
	return nil
}

// checkRules finds out whether to watch DestinationRules: if there may be some to write, or if some of ours remain from an
// earlier configuration. Without the permission to list them, an operator has to remove these.
func (o *Output) checkRules(ctx context.Context, namespaces []string) error {
	o.watchesRules = o.options.DestinationRules
	for _, namespace := range namespaces {
		if o.watchesRules {
			return nil
		}
		var found networkingv1.DestinationRuleList
		err := o.client.List(ctx, &found, client.InNamespace(namespace), client.MatchingLabels{mesh.ManagedByLabel: mesh.ManagedBy})
		if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
			return fmt.Errorf("list DestinationRules in namespace %s: %w", namespace, err)
		}
		for _, rule := range found.Items {
			o.watchesRules = o.watchesRules || object.IsOurs(rule)
		}
	}
	return nil
}
