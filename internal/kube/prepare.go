package kube

import (
	"context"
	"fmt"
	"slices"
	"time"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// prepare makes sure that there is a place to write to, and returns the namespaces to watch: those that services
// are placed in, and those that an earlier number of shards left behind. It waits for an API server that doesn't
// answer, and fails where only a person can help.
func (o *Output) prepare(ctx context.Context) (namespaces []string, err error) {
	waiting := false
	err = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		namespaces, err = o.place(ctx)
		if err == nil {
			err = o.mayReadEach(ctx, namespaces[0])
		}
		if err == nil {
			err = o.needRules(ctx, namespaces)
		}
		if err == nil {
			err = o.lookAround(ctx)
		}
		switch {
		case err == nil:
			return true, nil
		case answered(err) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsTimeout(err) &&
			!apierrors.IsTooManyRequests(err) && !apierrors.IsInternalError(err):
			return false, err
		case !waiting:
			waiting = true
			o.log.Warn("the API server doesn't answer; waiting for it", "server", o.options.REST.Host, "error", err)
		}
		return false, nil
	})
	if ctx.Err() != nil {
		return nil, nil
	}
	return namespaces, err
}

func (o *Output) place(ctx context.Context) ([]string, error) {
	namespaces := o.options.Placement.Namespaces()
	for _, name := range namespaces {
		if err := o.ensureNamespace(ctx, name); err != nil {
			return nil, err
		}
	}
	left, err := o.leftBehind(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range left {
		if !slices.Contains(namespaces, name) {
			namespaces = append(namespaces, name)
		}
	}
	return namespaces, nil
}

// ensureNamespace creates a namespace that isn't there. Who may not look may still write: then the first write
// tells.
func (o *Output) ensureNamespace(ctx context.Context, name string) error {
	var namespace corev1.Namespace
	err := o.client.Get(ctx, client.ObjectKey{Name: name}, &namespace)
	if err == nil || apierrors.IsForbidden(err) {
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("namespace %s: %w", name, err)
	}
	namespace.Name = name
	namespace.Labels = o.placementLabels()
	err = o.client.Create(ctx, &namespace, client.FieldOwner(FieldOwner))
	switch {
	case apierrors.IsAlreadyExists(err):
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("namespace %s doesn't exist and may not be created: create it, or allow isthmus to create namespaces: %w",
			name, err)
	case err != nil:
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	o.log.Info("namespace created", "namespace", name)
	return nil
}

// placementLabels tell the namespaces of this placement from those of another isthmus in the same cluster.
func (o *Output) placementLabels() map[string]string {
	return map[string]string{mesh.ManagedByLabel: mesh.ManagedBy, mesh.PlacementLabel: o.options.Placement.Base}
}

// leftBehind returns the namespaces that were created for this placement, with any number of shards. Who may not
// list them removes what is left in them by hand, as the documentation says.
func (o *Output) leftBehind(ctx context.Context) ([]string, error) {
	var list corev1.NamespaceList
	err := o.client.List(ctx, &list, client.MatchingLabels(o.placementLabels()))
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	names := make([]string, 0, len(list.Items))
	for _, namespace := range list.Items {
		names = append(names, namespace.Name)
	}
	return names, nil
}

// mayReadEach looks at the first namespace, which speaks for all shards, and at those that the configuration names: they
// may be other people's.
func (o *Output) mayReadEach(ctx context.Context, first string) error {
	for _, namespace := range append([]string{first}, o.options.Placement.Named()...) {
		if err := o.mayRead(ctx, namespace); err != nil {
			return err
		}
	}
	at := o.memory.at
	err := o.client.List(ctx, &corev1.ConfigMapList{}, client.InNamespace(at.Namespace), client.MatchingFields{"metadata.name": at.Name})
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("isthmus needs get, list, watch, create and update on ConfigMap %s, where it keeps which removals are held: %w", at, err)
	}
	return err
}

// mayRead asks for what the watch will ask for, since the watch itself would only wait and try again.
func (o *Output) mayRead(ctx context.Context, namespace string) error {
	lists, resources := []client.ObjectList{&networkingv1.ServiceEntryList{}, &networkingv1.WorkloadEntryList{}}, "serviceentries and workloadentries"
	if o.options.DestinationRules {
		lists, resources = append(lists, &networkingv1.DestinationRuleList{}), "serviceentries, workloadentries and, for mesh.tlsOrigination, destinationrules"
	}
	for _, list := range lists {
		err := o.client.List(ctx, list, client.InNamespace(namespace), client.Limit(1))
		switch {
		case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
			return fmt.Errorf("the API server doesn't know Istio's %T: install Istio's CRDs (Helm chart istio/base)", list)
		case apierrors.IsForbidden(err):
			return fmt.Errorf("isthmus needs get, list, watch, create, patch, update and delete on %s "+
				"of networking.istio.io in namespace %s: %w", resources, namespace, err)
		case err != nil:
			return fmt.Errorf("list in namespace %s: %w", namespace, err)
		}
	}
	return nil
}
