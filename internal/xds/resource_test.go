package xds

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	mcp "istio.io/api/mcp/v1alpha1"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// TestEncode verifies that istiod decodes a resource to the same object, for every case of the translation, and that two
// objects have the same version only if they are equal.
func TestEncode(t *testing.T) {
	versions := map[string]mesh.Object{}
	for _, test := range meshtest.Cases() {
		resources, _ := mesh.Translate(test.Service, test.MeshName(), test.Options)
		for _, object := range resources.Objects {
			r, err := encode(object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(object, decode(t, r), protocmp.Transform()); diff != "" {
				t.Errorf("%s: the decoded object differs (-object +decoded):\n%s", test.Name, diff)
			}
			if again, err := encode(object); err != nil || again.version != r.version || !proto.Equal(again.wire, r.wire) {
				t.Errorf("%s: the same object has the versions %s and %s, error %v", test.Name, r.version, again.version, err)
			}
			if other, exists := versions[r.version]; exists && !other.Equal(object) {
				t.Errorf("%s: two objects have the version %s: %v and %v", test.Name, r.version, object, other)
			}
			versions[r.version] = object
		}
	}
	if len(versions) < 50 {
		t.Errorf("only %d objects were tested", len(versions))
	}
}

// TestVersionCoversTheObject verifies that the version changes with each part of an object.
func TestVersionCoversTheObject(t *testing.T) {
	plain := func() mesh.Object { return webEntry("a", "10.0.0.1") }
	seen := map[string]string{}
	for name, change := range map[string]func(*mesh.Object){
		"nothing":    func(*mesh.Object) {},
		"namespace":  func(o *mesh.Object) { o.Namespace = "other" },
		"name":       func(o *mesh.Object) { o.Name = "other" },
		"label":      func(o *mesh.Object) { o.Labels = map[string]string{"a": "b"} },
		"annotation": func(o *mesh.Object) { o.Annotations = map[string]string{"a": "b"} },
		"spec":       func(o *mesh.Object) { *o = webEntry("a", "10.0.0.2") },
	} {
		object := plain()
		change(&object)
		r, err := encode(object)
		if err != nil {
			t.Fatal(err)
		}
		if other, exists := seen[r.version]; exists {
			t.Errorf("%s and %s have the same version", name, other)
		}
		seen[r.version] = name
	}
}

// TestEncodedOnce verifies that an object is encoded when it changes, and not again for a change of another object or for
// another client.
func TestEncodedOnce(t *testing.T) {
	snapshot, store := newSnapshot(0), newStore()
	replace := func(label string, objects ...mesh.Object) []*resource {
		set, gone, _, err := snapshot.replace(nameOf(label), objects, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		store.publish(set, gone)
		return set
	}
	replace("a", webEntry("a", "10.0.0.1"), workload("a", "1", "10.0.0.1"))
	encoded := replace("b", webEntry("b", "10.0.0.2"), workload("b", "1", "10.0.0.2"))
	all := store.collections[mesh.ServiceEntryKind].all()
	if changed := replace("b", webEntry("b", "10.0.0.9"), workload("b", "1", "10.0.0.2")); len(changed) != 1 || changed[0].kind != mesh.ServiceEntryKind {
		t.Errorf("%d objects were encoded after a change of one", len(changed))
	}
	if kept := snapshot.services[nameOf("b")].resources[1]; kept != encoded[1] {
		t.Error("an unchanged object was encoded again")
	}
	again := store.collections[mesh.ServiceEntryKind].all()
	if kept := slices.ContainsFunc(again, func(wire *anypb.Any) bool { return slices.Contains(all, wire) }); !kept || len(again) != 2 {
		t.Error("a response does not share the encoded resource")
	}
	if other := store.collections[mesh.ServiceEntryKind].all(); &other[0] != &again[0] {
		t.Error("another client receives a copy")
	}
}

// decode decodes a resource as istiod does.
func decode(t *testing.T, r *resource) mesh.Object {
	t.Helper()
	var read mcp.Resource
	if err := r.wire.GetResource().UnmarshalTo(&read); err != nil {
		t.Fatal(err)
	}
	spec, err := read.GetBody().UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	if read.GetMetadata().GetVersion() != r.version || r.wire.GetVersion() != r.version || r.wire.GetName() != r.name {
		t.Errorf("names and versions differ: %v, %s %s", read.GetMetadata(), r.name, r.version)
	}
	object := mesh.Object{
		Kind: r.kind, Labels: read.GetMetadata().GetLabels(), Annotations: read.GetMetadata().GetAnnotations(), Spec: spec,
	}
	object.Namespace, object.Name = splitName(read.GetMetadata().GetName())
	return object
}
