package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// Request asks the isthmus that leads to release what it holds of a source. Make one with NewRequest.
type Request struct {
	client client.Client
	at     client.ObjectKey
	source string
}

// NewRequest makes a request that goes by the ConfigMap of the holds.
func NewRequest(config *rest.Config, at client.ObjectKey, source string) (*Request, error) {
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("kubernetes client: %w", err)
	}
	return &Request{client: c, at: at, source: source}, nil
}

// Release asks, and returns what is held. It fails where nothing is.
func (r *Request) Release(ctx context.Context) (held string, err error) {
	found, s, err := r.read(ctx)
	if err != nil {
		return "", err
	}
	hold, ok := s.Holds[r.source]
	if !ok {
		return "", fmt.Errorf("nothing of source %q is held, says ConfigMap %s", r.source, r.at)
	}
	asked := requests(found)
	if !slices.Contains(asked, r.source) {
		wanted := found.DeepCopy()
		if wanted.Annotations == nil {
			wanted.Annotations = map[string]string{}
		}
		wanted.Annotations[ReleaseAnnotation] = strings.Join(append(asked, r.source), ",")
		// Two that ask at once must not overwrite each other.
		patch := client.MergeFromWithOptions(found, client.MergeFromWithOptimisticLock{})
		if err := r.client.Patch(ctx, wanted, patch); err != nil {
			return "", fmt.Errorf("annotate ConfigMap %s: %w", r.at, err)
		}
	}
	return fmt.Sprintf("%d instances, %d services", hold.Instances, hold.Services), nil
}

// Hold returns what is held of the source; false where nothing is.
func (r *Request) Hold(ctx context.Context) (guard.Hold, bool, error) {
	_, s, err := r.read(ctx)
	hold, held := s.Holds[r.source]
	return hold, held, err
}

func (r *Request) read(ctx context.Context) (*corev1.ConfigMap, status, error) {
	var found corev1.ConfigMap
	err := r.client.Get(ctx, r.at, &found)
	if apierrors.IsNotFound(err) {
		return &found, status{}, nil
	}
	if err != nil {
		return nil, status{}, fmt.Errorf("read ConfigMap %s: %w", r.at, err)
	}
	s, err := statusOf(&found)
	return &found, s, err
}
