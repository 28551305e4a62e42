package kube

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// writeTimeout bounds one write: an API server that hangs must not hold a writer for ever.
const writeTimeout = 10 * time.Second

// foreignError says that an object we want to write is somebody else's.
type foreignError struct{ object mesh.Object }

func (e foreignError) Error() string {
	return fmt.Sprintf("%s %s/%s is not ours: it was not applied by %q; delete or rename it, and isthmus will write its own",
		e.object.Kind, e.object.Namespace, e.object.Name, FieldOwner)
}

// contestedError says that somebody alters an object of ours within our own write, as an admission webhook does.
type contestedError struct{ object mesh.Object }

func (e contestedError) Error() string {
	return fmt.Sprintf("%s %s/%s is altered while it is written: exempt what isthmus writes from the admission webhook that does it",
		e.object.Kind, e.object.Namespace, e.object.Name)
}

// errMoved says that an object is no longer what a write was decided on.
var errMoved = errors.New("it changed meanwhile")

// basis is the state of an object that a write was decided on; none for an object that isn't known to be ours. It goes
// along with the write, so that one which arrives late, from a leader of the past, undoes nothing.
type basis struct {
	uid     types.UID
	version string
}

func basisOf(standing client.Object) basis {
	return basis{standing.GetUID(), standing.GetResourceVersion()}
}

// ensure applies an object unless it stands there already. Where the cache turns out to be behind, the API server
// itself is asked: a watch that hangs must not keep us from writing.
func (w *writer) ensure(ctx context.Context, wanted mesh.Object, standing client.Object) error {
	err := w.bring(ctx, wanted, standing)
	if !errors.Is(err, errMoved) {
		return err
	}
	live, err := w.live(ctx, refer(wanted))
	if err != nil {
		return err
	}
	w.ledger.drop(refer(wanted))
	return w.bring(ctx, wanted, live)
}

func (w *writer) bring(ctx context.Context, wanted mesh.Object, standing client.Object) error {
	last, ahead := w.ledger.ahead(refer(wanted), standing)
	switch {
	case ahead && last.deleted == "":
		if last.applied.Equal(wanted) {
			return nil
		}
		return w.apply(ctx, wanted, last.basis)
	case standing == nil || ahead:
		return w.apply(ctx, wanted, basis{})
	case !ours(standing):
		return foreignError{wanted}
	case wanted.Kind == mesh.ServiceEntryKind && w.awaited(standing), holds(standing, wanted):
		return nil
	default:
		return w.apply(ctx, wanted, basisOf(standing))
	}
}

// apply writes an object by server-side apply. What is not known to be ours is applied without force, so that
// an object that someone else made meanwhile makes a conflict and stays as it is.
func (w *writer) apply(ctx context.Context, wanted mesh.Object, on basis) error {
	manifest, err := wanted.Manifest()
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{Object: manifest}
	options := []client.ApplyOption{client.FieldOwner(FieldOwner)}
	known := on != basis{}
	if known {
		options = append(options, client.ForceOwnership)
		object.SetUID(on.uid)
		object.SetResourceVersion(on.version)
	}
	spec := object.DeepCopy().Object["spec"]
	ctx, cancel := w.writing(ctx)
	defer cancel()
	err = w.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), options...)
	w.wrote("apply", wanted.Kind, err)
	if err != nil {
		if apierrors.IsConflict(err) {
			if !known && apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict) {
				return foreignError{wanted}
			}
			err = errors.Join(errMoved, err)
		}
		if apierrors.IsNotFound(err) { // for an apply that can only be the namespace
			err = errors.Join(err, w.ensureNamespace(ctx, wanted.Namespace))
		}
		return fmt.Errorf("apply %s %s/%s: %w", wanted.Kind, wanted.Namespace, wanted.Name, err)
	}
	if w.altered(object, spec, wanted) {
		if err := w.overwrite(ctx, object, spec, wanted); err != nil {
			return err
		}
	}
	w.ledger.applied(wanted, basisOf(object))
	return nil
}

// altered tells whether an object means something else than what was applied.
func (w *writer) altered(object *unstructured.Unstructured, spec any, wanted mesh.Object) bool {
	return !reflect.DeepEqual(object.Object["spec"], spec) || len(overriding(object.GetLabels(), wanted)) > 0
}

// overwrite takes out of an object what someone else put there: an apply leaves other owners' fields alone, but a
// label more on an endpoint sends it other traffic. All our fields hold already, so nothing changes its owner.
func (w *writer) overwrite(ctx context.Context, object *unstructured.Unstructured, spec any, wanted mesh.Object) error {
	object.Object["spec"] = spec
	labels := object.GetLabels()
	for _, key := range overriding(labels, wanted) {
		delete(labels, key)
	}
	object.SetLabels(labels)
	err := w.client.Update(ctx, object, client.FieldOwner(FieldOwner))
	w.wrote("update", wanted.Kind, err)
	if apierrors.IsConflict(err) {
		err = errors.Join(errMoved, err)
	}
	if err != nil {
		return fmt.Errorf("update %s %s/%s: %w", wanted.Kind, wanted.Namespace, wanted.Name, err)
	}
	if w.altered(object, spec, wanted) {
		return contestedError{wanted}
	}
	return nil
}

// live reads an object from the API server itself; nil for none.
func (w *writer) live(ctx context.Context, at reference) (client.Object, error) {
	object := newObject(at.kind)
	ctx, cancel := w.writing(ctx)
	defer cancel()
	err := w.client.Get(ctx, client.ObjectKey{Namespace: at.namespace, Name: at.name}, object)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", at.kind, at.namespace, at.name, err)
	}
	return object, nil
}

func (w *writer) wrote(verb string, kind mesh.Kind, err error) {
	if err == nil {
		w.writes++
	}
	w.metrics.wrote(verb, string(kind), err)
}

// permanent tells whether an error lies in the object or its place, so that a quick retry is of no use.
func permanent(err error) bool {
	var (
		foreign   foreignError
		contested contestedError
	)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return false // it is forbidden to write there, but not for long
	}
	return errors.As(err, &foreign) || errors.As(err, &contested) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) ||
		apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err)
}
