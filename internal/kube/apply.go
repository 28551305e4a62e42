package kube

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// writeTimeout bounds one write, so that an API server that hangs does not block a writer for ever.
const writeTimeout = 10 * time.Second

// precondition is the version of an object on which a write is based; zero for an object that is not known to be ours.
// The write names it, so a write that arrives late, from a previous leader, undoes nothing.
type precondition struct {
	uid     types.UID
	version string
}

func preconditionOf(live client.Object) precondition {
	return precondition{live.GetUID(), live.GetResourceVersion()}
}

// applyIfChanged applies an object unless the live object is equal. If the cache turns out to be behind, it asks the API
// server: a watch that hangs must not keep isthmus from writing.
func (w *writer) applyIfChanged(ctx context.Context, wanted mesh.Object, live client.Object) error {
	basis, changed, err := w.compare(wanted, live)
	if err == nil && changed && live != nil {
		// A delete event that came after live was read has dropped the expectation of our own delete.
		if live, err = w.cached(ctx, object.KeyOf(wanted)); err == nil {
			basis, changed, err = w.compare(wanted, live)
		}
	}
	if err != nil || !changed {
		return err
	}
	if err = w.apply(ctx, wanted, basis); !errors.Is(err, errConflict) {
		return err
	}
	if live, err = w.get(ctx, object.KeyOf(wanted)); err != nil {
		return err
	}
	w.expectations.drop(object.KeyOf(wanted))
	if basis, changed, err = w.compare(wanted, live); err != nil || !changed {
		return err
	}
	return w.apply(ctx, wanted, basis)
}

// compare reports whether an object must be applied, and on which version of the live object to base that.
func (w *writer) compare(wanted mesh.Object, live client.Object) (basis precondition, changed bool, err error) {
	last, pending := w.expectations.pending(object.KeyOf(wanted), live)
	switch {
	case pending && last.deleted == "":
		return last.result, !last.applied.Equal(wanted), nil
	case live == nil || pending:
		return precondition{}, true, nil
	case !object.IsOurs(live):
		return precondition{}, false, foreignError{wanted}
	case wanted.Kind == mesh.ServiceEntryKind && w.isSourcePending(live), matches(live, wanted):
		return precondition{}, false, nil
	default:
		return preconditionOf(live), true, nil
	}
}

// apply writes an object by server-side apply. An object that is not known to be ours is applied without force: if it
// exists, the API server answers with a field manager conflict and leaves it as it is.
func (w *writer) apply(ctx context.Context, wanted mesh.Object, basis precondition) error {
	manifest, err := wanted.Manifest()
	if err != nil {
		return err
	}
	applied := &unstructured.Unstructured{Object: manifest}
	setGeneration(applied, wanted)
	options := []client.ApplyOption{client.FieldOwner(object.FieldOwner)}
	known := basis != precondition{}
	if known {
		options = append(options, client.ForceOwnership)
		applied.SetUID(basis.uid)
		applied.SetResourceVersion(basis.version)
	}
	spec := applied.DeepCopy().Object["spec"]
	ctx, cancel := w.writeContext(ctx)
	defer cancel()
	err = w.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), options...)
	w.countWrite("apply", wanted.Kind, err)
	if err != nil {
		return w.applyError(ctx, wanted, known, err)
	}
	if isAltered(applied, spec, wanted) {
		if err := w.overwrite(ctx, applied, spec, wanted); err != nil {
			return err
		}
	}
	w.expectations.applied(wanted, preconditionOf(applied))
	return nil
}

// applyError classifies the error of an apply, and creates the namespace if that is missing.
func (w *writer) applyError(ctx context.Context, wanted mesh.Object, known bool, err error) error {
	if apierrors.IsConflict(err) {
		if !known && apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict) {
			return foreignError{wanted}
		}
		err = errors.Join(errConflict, err)
	}
	if apierrors.IsNotFound(err) { // An apply creates the object, so only the namespace can be missing.
		err = errors.Join(err, w.ensureNamespace(ctx, wanted.Namespace))
	}
	return fmt.Errorf("apply %s %s/%s: %w", wanted.Kind, wanted.Namespace, wanted.Name, err)
}

// isAltered reports whether the object that an apply returned means something else than the object that was applied.
func isAltered(applied *unstructured.Unstructured, spec any, wanted mesh.Object) bool {
	return !reflect.DeepEqual(applied.Object["spec"], spec) || len(overridingLabels(applied.GetLabels(), wanted)) > 0
}

// overwrite removes the fields of other owners. An apply leaves them alone, but an additional label of an endpoint sends
// it other traffic. Our own fields are equal already, so the update changes no owner.
func (w *writer) overwrite(ctx context.Context, applied *unstructured.Unstructured, spec any, wanted mesh.Object) error {
	applied.Object["spec"] = spec
	labels := applied.GetLabels()
	for _, key := range overridingLabels(labels, wanted) {
		delete(labels, key)
	}
	applied.SetLabels(labels)
	err := w.client.Update(ctx, applied, client.FieldOwner(object.FieldOwner))
	w.countWrite("update", wanted.Kind, err)
	if apierrors.IsConflict(err) {
		err = errors.Join(errConflict, err)
	}
	if err != nil {
		return fmt.Errorf("update %s %s/%s: %w", wanted.Kind, wanted.Namespace, wanted.Name, err)
	}
	if isAltered(applied, spec, wanted) {
		return contestedError{wanted}
	}
	return nil
}

// cached reads an object from the cache; nil for none.
func (w *writer) cached(ctx context.Context, key object.Key) (client.Object, error) {
	live := object.New(key.Kind)
	err := w.cache.Get(ctx, key.ObjectKey(), live)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s from the cache: %w", key.Kind, key.Namespace, key.Name, err)
	}
	return live, nil
}

// get reads an object from the API server; nil for none.
func (w *writer) get(ctx context.Context, key object.Key) (client.Object, error) {
	newest := object.New(key.Kind)
	ctx, cancel := w.writeContext(ctx)
	defer cancel()
	err := w.client.Get(ctx, key.ObjectKey(), newest)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", key.Kind, key.Namespace, key.Name, err)
	}
	return newest, nil
}

func (w *writer) countWrite(verb string, kind mesh.Kind, err error) {
	if err == nil {
		w.writes++
	}
	w.metrics.countWrite(verb, string(kind), err)
}
