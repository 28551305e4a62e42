package object

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Key identifies an object in the cluster.
type Key struct {
	Kind      mesh.Kind
	Namespace string
	Name      string
}

// KeyOf returns the key of a desired object.
func KeyOf(desired mesh.Object) Key { return Key{desired.Kind, desired.Namespace, desired.Name} }

// LiveKeyOf returns the key of a live object.
func LiveKeyOf(live client.Object) Key {
	return Key{KindOf(live), live.GetNamespace(), live.GetName()}
}

// ObjectKey returns the key as the client takes it.
func (k Key) ObjectKey() client.ObjectKey {
	return client.ObjectKey{Namespace: k.Namespace, Name: k.Name}
}
