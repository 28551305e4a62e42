package kube

import (
	"context"
	"time"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

var (
	scheme = newScheme()
	// mapper knows our few kinds, so that nothing need be discovered at a start.
	mapper = newMapper()
)

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		networkingv1.AddToScheme, corev1.AddToScheme, coordinationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err) // two kinds of one name in the libraries: can't be at run time
		}
	}
	return scheme
}

func newMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []mesh.Kind{mesh.ServiceEntryKind, mesh.WorkloadEntryKind, mesh.DestinationRuleKind} {
		for _, suffix := range []string{"", "List"} { // the cache asks for lists by their own kind
			mapper.Add(networkingv1.SchemeGroupVersion.WithKind(string(kind)+suffix), meta.RESTScopeNamespace)
		}
	}
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	for _, kind := range []string{"ConfigMap", "ConfigMapList", "Event", "Service", "ServiceList"} {
		mapper.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	return mapper
}

// serviceIndex finds objects by the service they were written for, as their names say.
const serviceIndex = "service"

// newCache makes a cache of all objects of our kinds in the namespaces, foreign ones too: a foreign
// object that bears a name we want must be seen before we write. Of the ConfigMaps it holds the one that says what is held.
func (o *Output) newCache(ctx context.Context, namespaces []string) (cache.Cache, error) {
	watched := map[string]cache.Config{}
	for _, namespace := range namespaces {
		watched[namespace] = cache.Config{}
	}
	c, err := cache.New(o.options.REST, cache.Options{
		HTTPClient: o.http, Scheme: scheme, Mapper: mapper,
		DefaultNamespaces: watched, DefaultTransform: o.slim,
		ByObject: map[client.Object]cache.ByObject{&corev1.ConfigMap{}: {
			Namespaces: map[string]cache.Config{o.memory.at.Namespace: {}},
			Field:      fields.OneTermEqualSelector("metadata.name", o.memory.at.Name),
		}},
		DefaultWatchErrorHandler: o.watchFailed,
	})
	if err != nil {
		return nil, err
	}
	for _, object := range o.kinds() {
		if err := c.IndexField(ctx, object, serviceIndex, indexByService); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// watchFailed reports what goes wrong with a list or a watch, which is tried again.
func (o *Output) watchFailed(ctx context.Context, reflector *toolscache.Reflector, err error) {
	o.links.watchFailed(err)
	toolscache.DefaultWatchErrorHandler(ctx, reflector, err)
}

func indexByService(object client.Object) []string {
	if name, ok := serviceOf(object); ok {
		return []string{name.String()}
	}
	return nil
}

// serviceOf returns the service that an object was written for, as its name says; false for names that we
// never write.
func serviceOf(object client.Object) (mesh.Name, bool) {
	return mesh.ParseObjectName(kindOf(object), object.GetName())
}

func kindOf(object client.Object) mesh.Kind {
	switch object.(type) {
	case *networkingv1.ServiceEntry:
		return mesh.ServiceEntryKind
	case *networkingv1.DestinationRule:
		return mesh.DestinationRuleKind
	default:
		return mesh.WorkloadEntryKind
	}
}

// ours tells whether isthmus wrote an object. The API server keeps that account; labels can be copied.
func ours(object client.Object) bool { return application(object.GetManagedFields()) != nil }

// appliedAt is when isthmus changed an object last; the zero time where it never did.
func appliedAt(object client.Object) time.Time {
	if entry := application(object.GetManagedFields()); entry != nil && entry.Time != nil {
		return entry.Time.Time
	}
	return time.Time{}
}

func application(entries []metav1.ManagedFieldsEntry) *metav1.ManagedFieldsEntry {
	for i, entry := range entries {
		if entry.Manager == FieldOwner && entry.Operation == metav1.ManagedFieldsOperationApply {
			return &entries[i]
		}
	}
	return nil
}
