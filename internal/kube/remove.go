package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// drain removes a service: its endpoints at once, its ServiceEntry and DestinationRules after the grace period. An entry
// without endpoints costs istiod little; its removal makes istiod push to every proxy. It returns when the next step is
// due; 0 for none.
func (w *writer) drain(ctx context.Context) (requeueAfter time.Duration, err error) {
	var (
		errs    []error
		entries []*networkingv1.ServiceEntry
		rules   []client.Object
	)
	for _, live := range w.live {
		switch live := live.(type) {
		case *networkingv1.ServiceEntry:
			entries = append(entries, live)
		case *networkingv1.DestinationRule:
			rules = append(rules, live)
		default:
			errs = append(errs, w.remove(ctx, live))
		}
	}
	entries = slices.DeleteFunc(entries, func(entry *networkingv1.ServiceEntry) bool {
		return !object.IsOurs(entry) || w.isDeleted(entry)
	})
	remaining := w.graceRemaining(len(entries))
	for _, rule := range rules { // A rule stays as long as its entry.
		if remaining <= 0 {
			errs = append(errs, w.remove(ctx, rule))
		}
	}
	for _, entry := range entries {
		if remaining <= 0 {
			errs = append(errs, w.remove(ctx, entry))
			continue
		}
		errs = append(errs, w.stripEndpoints(ctx, entry))
	}
	return max(remaining, 0), errors.Join(errs...)
}

// graceRemaining returns how long a removed service keeps its live ServiceEntries. The first call starts the grace
// period; a call without entries ends it.
func (w *writer) graceRemaining(entries int) time.Duration {
	if entries == 0 {
		w.services.endRemoval(w.name)
		return 0
	}
	return w.options.Grace - time.Since(w.services.startRemoval(w.name))
}

// stripEndpoints removes the inline endpoints of a ServiceEntry and changes nothing else.
func (w *writer) stripEndpoints(ctx context.Context, entry *networkingv1.ServiceEntry) error {
	if len(entry.Spec.Endpoints) == 0 {
		return nil
	}
	spec := proto.Clone(&entry.Spec).(*networking.ServiceEntry)
	spec.Endpoints = nil
	// Without endpoints, Istio would resolve the host of a DNS entry itself.
	spec.Resolution = networking.ServiceEntry_STATIC
	wanted := mesh.Object{
		Kind: mesh.ServiceEntryKind, Namespace: entry.Namespace, Name: entry.Name, Spec: spec,
		Labels: entry.Labels, Annotations: entry.Annotations,
	}
	return w.applyIfChanged(ctx, wanted, entry)
}

// removeAll removes all objects of a service that yields all its hosts. There is no grace period, because the live
// objects still have the hosts.
func (w *writer) removeAll(ctx context.Context) error {
	var errs []error
	for _, live := range w.live {
		errs = append(errs, w.remove(ctx, live))
	}
	return errors.Join(errs...)
}

// remove deletes an object of ours, and only in the version that the decision is based on.
func (w *writer) remove(ctx context.Context, live client.Object) error {
	if !object.IsOurs(live) || w.isDeleted(live) {
		return nil
	}
	// A delete event that came after live was read has dropped the expectation of our own delete.
	if newest, err := w.cached(ctx, object.LiveKeyOf(live)); err != nil || newest == nil || newest.GetUID() != live.GetUID() {
		return err
	}
	basis := preconditionOf(live)
	if last, pending := w.expectations.pending(object.LiveKeyOf(live), live); pending {
		basis = last.result
	}
	err := w.delete(ctx, live, basis)
	if !errors.Is(err, errConflict) {
		return err
	}
	newest, err := w.get(ctx, object.LiveKeyOf(live))
	switch {
	case err != nil:
		return err
	case newest == nil || newest.GetUID() != live.GetUID():
		w.expectations.deleted(live)
		return nil
	case !object.IsOurs(newest):
		return nil
	default:
		return w.delete(ctx, newest, preconditionOf(newest))
	}
}

func (w *writer) delete(ctx context.Context, live client.Object, basis precondition) error {
	ctx, cancel := w.writeContext(ctx)
	defer cancel()
	err := w.client.Delete(ctx, live.DeepCopyObject().(client.Object),
		client.Preconditions{UID: &basis.uid, ResourceVersion: &basis.version})
	err = client.IgnoreNotFound(err)
	w.countWrite("delete", object.KindOf(live), err)
	if apierrors.IsConflict(err) {
		err = errors.Join(errConflict, err)
	}
	if err != nil {
		return fmt.Errorf("delete %s %s/%s: %w", object.KindOf(live), live.GetNamespace(), live.GetName(), err)
	}
	w.expectations.deleted(live)
	return nil
}

// isDeleted reports whether isthmus deleted an object that the cache still has.
func (w *writer) isDeleted(live client.Object) bool {
	last, pending := w.expectations.pending(object.LiveKeyOf(live), live)
	return pending && last.deleted != ""
}
