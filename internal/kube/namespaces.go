package kube

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// setUpNamespaces creates the namespaces of the placement, and returns them and those of earlier placements.
func (o *Output) setUpNamespaces(ctx context.Context) ([]string, error) {
	namespaces := o.options.Placement.Namespaces()
	for _, name := range namespaces {
		if err := o.ensureNamespace(ctx, name); err != nil {
			return nil, err
		}
	}
	earlier, err := o.labeledNamespaces(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range earlier {
		if !slices.Contains(namespaces, name) {
			namespaces = append(namespaces, name)
		}
	}
	return namespaces, nil
}

// ensureNamespace creates a namespace if it does not exist. If isthmus may not read namespaces, it may still write to
// this one, so the first write decides.
func (o *Output) ensureNamespace(ctx context.Context, name string) error {
	var namespace corev1.Namespace
	err := o.client.Get(ctx, client.ObjectKey{Name: name}, &namespace)
	if err == nil || apierrors.IsForbidden(err) {
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("read namespace %s: %w", name, err)
	}
	namespace.Name = name
	namespace.Labels = o.placementLabels()
	err = o.client.Create(ctx, &namespace, client.FieldOwner(object.FieldOwner))
	switch {
	case apierrors.IsAlreadyExists(err):
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("namespace %s does not exist and may not be created: create it, or allow isthmus to create namespaces: %w",
			name, err)
	case err != nil:
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	o.log.Info("namespace created", "namespace", name)
	return nil
}

// placementLabels identify the namespaces of this placement among those of other isthmus in the cluster.
func (o *Output) placementLabels() map[string]string {
	return map[string]string{mesh.ManagedByLabel: mesh.ManagedBy, mesh.PlacementLabel: o.options.Placement.Base}
}

// labeledNamespaces returns the namespaces that were created for this placement, with any number of shards. Without the
// permission to list them, an operator has to remove the objects that remain in them.
func (o *Output) labeledNamespaces(ctx context.Context) ([]string, error) {
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
