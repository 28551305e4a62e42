package kube

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// errConflict means that an object is no longer the one on which a write was based.
var errConflict = errors.New("the object has changed since it was read")

// foreignError means that an object under a name that isthmus wants is not ours.
type foreignError struct{ object mesh.Object }

func (e foreignError) Error() string {
	return fmt.Sprintf("%s %s/%s is not ours: it was not applied by %q; delete or rename it",
		e.object.Kind, e.object.Namespace, e.object.Name, object.FieldOwner)
}

// contestedError means that an admission webhook alters an object within our own write.
type contestedError struct{ object mesh.Object }

func (e contestedError) Error() string {
	return fmt.Sprintf("%s %s/%s is altered while it is written: exempt the objects of isthmus from the admission webhook that alters it",
		e.object.Kind, e.object.Namespace, e.object.Name)
}

// isPermanent reports whether the cause of an error is the object or its namespace, so that a quick retry is useless.
func isPermanent(err error) bool {
	var (
		foreign   foreignError
		contested contestedError
	)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return false // The namespace rejects writes, but not for long.
	}
	return errors.As(err, &foreign) || errors.As(err, &contested) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) ||
		apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err)
}

// isResponse reports whether an error is a response of the API server, not the lack of one.
func isResponse(err error) bool {
	var (
		status    apierrors.APIStatus
		foreign   foreignError
		contested contestedError
	)
	return errors.As(err, &status) || errors.As(err, &foreign) || errors.As(err, &contested)
}
