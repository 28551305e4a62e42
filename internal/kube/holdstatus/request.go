package holdstatus

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
	"github.com/isthmus-mesh/isthmus/internal/kube/object"
)

// Request requests the release of a source's hold from the replica that leads.
type Request struct {
	client    client.Client
	configMap client.ObjectKey
	source    string
}

// NewRequest returns a request that annotates the ConfigMap of the holds.
func NewRequest(config *rest.Config, configMap client.ObjectKey, source string) (*Request, error) {
	c, err := client.New(config, client.Options{Scheme: object.Scheme, Mapper: object.Mapper})
	if err != nil {
		return nil, fmt.Errorf("create Kubernetes client: %w", err)
	}
	return &Request{client: c, configMap: configMap, source: source}, nil
}

// Release requests the release, and returns a summary of the hold. It fails if nothing is held.
func (r *Request) Release(ctx context.Context) (held string, err error) {
	found, status, err := r.read(ctx)
	if err != nil {
		return "", err
	}
	hold, ok := status.Holds[r.source]
	if !ok {
		return "", fmt.Errorf("source %q has no held removals in ConfigMap %s", r.source, r.configMap)
	}
	if requested := requestedSources(found); !slices.Contains(requested, r.source) {
		wanted := found.DeepCopy()
		if wanted.Annotations == nil {
			wanted.Annotations = map[string]string{}
		}
		wanted.Annotations[ReleaseAnnotation] = strings.Join(append(requested, r.source), ",")
		// The lock keeps two requests at the same time from overwriting each other.
		patch := client.MergeFromWithOptions(found, client.MergeFromWithOptimisticLock{})
		if err := r.client.Patch(ctx, wanted, patch); err != nil {
			return "", fmt.Errorf("annotate ConfigMap %s: %w", r.configMap, err)
		}
	}
	return hold.Size(), nil
}

// Hold returns the published hold of the source, and false if there is none.
func (r *Request) Hold(ctx context.Context) (guard.Hold, bool, error) {
	_, status, err := r.read(ctx)
	hold, held := status.Holds[r.source]
	return hold, held, err
}

func (r *Request) read(ctx context.Context) (*corev1.ConfigMap, Status, error) {
	var found corev1.ConfigMap
	err := r.client.Get(ctx, r.configMap, &found)
	if apierrors.IsNotFound(err) {
		return &found, Status{}, nil
	}
	if err != nil {
		return nil, Status{}, fmt.Errorf("read ConfigMap %s: %w", r.configMap, err)
	}
	status, err := StatusOf(&found)
	return &found, status, err
}
