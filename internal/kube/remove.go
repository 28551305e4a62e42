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

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// empty takes the endpoints of a service away, and its ServiceEntry once the grace time is over: without
// endpoints an entry costs istiod little, while its removal makes it push to every proxy. It returns how long
// to wait for the next step.
func (w *writer) empty(ctx context.Context) (time.Duration, error) {
	var (
		errs    []error
		entries []*networkingv1.ServiceEntry
		rules   []client.Object
	)
	for _, object := range w.standing {
		switch object := object.(type) {
		case *networkingv1.ServiceEntry:
			entries = append(entries, object)
		case *networkingv1.DestinationRule:
			rules = append(rules, object)
		default:
			errs = append(errs, w.remove(ctx, object))
		}
	}
	entries = slices.DeleteFunc(entries, func(entry *networkingv1.ServiceEntry) bool {
		_, ahead := w.ledger.ahead(referStanding(entry), entry)
		return !ours(entry) || (ahead && w.isDeleted(entry))
	})
	var wait time.Duration
	if len(entries) == 0 {
		w.forgetDeparted()
	} else {
		wait = w.graceLeft()
	}
	for _, rule := range rules { // they stay as long as the entry that they belong to
		if wait <= 0 {
			errs = append(errs, w.remove(ctx, rule))
		}
	}
	for _, entry := range entries {
		if wait <= 0 {
			errs = append(errs, w.remove(ctx, entry))
			continue
		}
		errs = append(errs, w.takeEndpoints(ctx, entry))
	}
	return max(wait, 0), errors.Join(errs...)
}

// takeEndpoints leaves a ServiceEntry as it is but for its inline endpoints.
func (w *writer) takeEndpoints(ctx context.Context, entry *networkingv1.ServiceEntry) error {
	if len(entry.Spec.Endpoints) == 0 {
		return nil
	}
	spec := proto.Clone(&entry.Spec).(*networking.ServiceEntry)
	spec.Endpoints = nil
	// A DNS entry without endpoints would make Istio resolve the host itself.
	spec.Resolution = networking.ServiceEntry_STATIC
	wanted := mesh.Object{
		Kind: mesh.ServiceEntryKind, Namespace: entry.Namespace, Name: entry.Name, Spec: spec,
		Labels: entry.Labels, Annotations: entry.Annotations,
	}
	return w.ensure(ctx, wanted, entry)
}

// graceLeft is how long a service that left keeps its ServiceEntry; the first call starts the clock.
func (w *writer) graceLeft() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, ok := w.departed[w.name]
	if !ok {
		since = time.Now()
		w.departed[w.name] = since
	}
	return w.options.Grace - time.Since(since)
}

func (w *writer) forgetDeparted() { w.returned(w.name) }

func (o *Output) returned(name mesh.Name) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.departed, name)
}

// remove deletes an object of ours: that very one, as it was when it was decided on.
func (w *writer) remove(ctx context.Context, standing client.Object) error {
	if !ours(standing) || w.isDeleted(standing) {
		return nil
	}
	on := basisOf(standing)
	if last, ahead := w.ledger.ahead(referStanding(standing), standing); ahead {
		on = last.basis
	}
	err := w.delete(ctx, standing, on)
	if !errors.Is(err, errMoved) {
		return err
	}
	live, err := w.live(ctx, referStanding(standing))
	switch {
	case err != nil:
		return err
	case live == nil || live.GetUID() != standing.GetUID():
		w.ledger.deleted(standing)
		return nil
	case !ours(live):
		return nil
	default:
		return w.delete(ctx, live, basisOf(live))
	}
}

func (w *writer) delete(ctx context.Context, standing client.Object, on basis) error {
	ctx, cancel := w.writing(ctx)
	defer cancel()
	err := w.client.Delete(ctx, standing.DeepCopyObject().(client.Object),
		client.Preconditions{UID: &on.uid, ResourceVersion: &on.version})
	err = client.IgnoreNotFound(err)
	w.wrote("delete", kindOf(standing), err)
	if apierrors.IsConflict(err) {
		err = errors.Join(errMoved, err)
	}
	if err != nil {
		return fmt.Errorf("delete %s %s/%s: %w", kindOf(standing), standing.GetNamespace(), standing.GetName(), err)
	}
	w.ledger.deleted(standing)
	return nil
}

// isDeleted tells whether we deleted an object that the cache still holds.
func (w *writer) isDeleted(standing client.Object) bool {
	last, ahead := w.ledger.ahead(referStanding(standing), standing)
	return ahead && last.deleted != ""
}
