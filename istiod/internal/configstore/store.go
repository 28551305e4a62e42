// Package configstore keeps the desired objects of isthmus in a config store of istiod, in memory.
//
//	engine ──Notify──▶ Output ──Create, Update, Delete──▶ Store ──krt──▶ ServiceEntry controller of istiod ──▶ proxies
//
// istiod reads all of its config stores before it serves. A Store is synced once the Output has filled it, so istiod
// serves nothing before the complete content of every source is known. From then on, istiod sees each object change as if
// it came from Kubernetes: a changed endpoint is a push of endpoints only.
package configstore

import (
	"istio.io/istio/pilot/pkg/config/memory"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/collection"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/gvk"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// schemas are the kinds of objects that isthmus writes.
var schemas = collection.SchemasFor(collections.ServiceEntry, collections.WorkloadEntry, collections.DestinationRule)

// Store is a config store of istiod that one Output fills.
type Store struct {
	*memory.Controller
	// filled is closed once the store holds the complete content of all sources.
	filled chan struct{}
}

var _ model.ConfigStoreController = (*Store)(nil)

// newStore returns an empty store. It does not validate objects: the translation of isthmus has done that.
func newStore() *Store {
	return &Store{Controller: memory.NewController(memory.MakeSkipValidation(schemas)), filled: make(chan struct{})}
}

// Run implements model.ConfigStoreController. The controller in memory marks itself as synced when it runs, and istiod
// waits for that. RegisterHasSyncedHandler would not delay the collections that istiod reads.
func (s *Store) Run(stop <-chan struct{}) {
	select {
	case <-s.filled:
		s.Controller.Run(stop)
	case <-stop:
	}
}

// set creates or updates an object.
func (s *Store) set(object mesh.Object) error {
	converted := convert(object)
	if s.Get(converted.GroupVersionKind, converted.Name, converted.Namespace) == nil {
		_, err := s.Create(converted)
		return err
	}
	_, err := s.Update(converted)
	return err
}

// remove deletes an object.
func (s *Store) remove(object mesh.Object) error {
	return s.Delete(gvkOf(object.Kind), object.Name, object.Namespace, nil)
}

// convert returns an object as istiod holds it. Both share the spec, which neither changes.
func convert(object mesh.Object) config.Config {
	return config.Config{
		Meta: config.Meta{
			GroupVersionKind: gvkOf(object.Kind), Name: object.Name, Namespace: object.Namespace,
			Labels: object.Labels, Annotations: object.Annotations, CreationTimestamp: mesh.CreationTime,
		},
		Spec: object.Spec,
	}
}

// gvkOf returns the type in istiod of a kind of object.
func gvkOf(kind mesh.Kind) config.GroupVersionKind {
	switch kind {
	case mesh.ServiceEntryKind:
		return gvk.ServiceEntry
	case mesh.WorkloadEntryKind:
		return gvk.WorkloadEntry
	default:
		return gvk.DestinationRule
	}
}
