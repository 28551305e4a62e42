package kube

import (
	"context"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
)

// serviceIndex is the cache index from a service to the objects under its names.
const serviceIndex = "service"

// newCache returns a cache of all objects of our kinds in the namespaces, including foreign ones: a foreign object under
// a name that isthmus wants must be seen before a write. It has one ConfigMap, that of the holds.
func (o *Output) newCache(ctx context.Context, namespaces []string) (cache.Cache, error) {
	watched := map[string]cache.Config{}
	for _, namespace := range namespaces {
		watched[namespace] = cache.Config{}
	}
	c, err := cache.New(o.options.REST, cache.Options{
		HTTPClient: o.http, Scheme: object.Scheme, Mapper: object.Mapper,
		DefaultNamespaces: watched, DefaultTransform: o.transform,
		ByObject: map[client.Object]cache.ByObject{&corev1.ConfigMap{}: {
			Namespaces: map[string]cache.Config{o.options.Holds.Namespace: {}},
			Field:      fields.OneTermEqualSelector("metadata.name", o.options.Holds.Name),
		}},
		DefaultWatchErrorHandler: o.onWatchError,
	})
	if err != nil {
		return nil, err
	}
	for _, kind := range o.kinds() {
		if err := c.IndexField(ctx, kind, serviceIndex, indexByService); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// kinds returns the kinds that are watched and written.
func (o *Output) kinds() []client.Object {
	kinds := []client.Object{&networkingv1.ServiceEntry{}, &networkingv1.WorkloadEntry{}}
	if o.watchesRules {
		kinds = append(kinds, &networkingv1.DestinationRule{})
	}
	return kinds
}

func indexByService(live client.Object) []string {
	if name, ok := object.ServiceOf(live); ok {
		return []string{name.String()}
	}
	return nil
}

// onWatchError reports the failure of a list or a watch. The reflector retries it.
func (o *Output) onWatchError(ctx context.Context, reflector *toolscache.Reflector, err error) {
	o.writeErrors.addWatchError(err)
	toolscache.DefaultWatchErrorHandler(ctx, reflector, err)
}
