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

// TestEncode holds that what istiod reads out of a resource is the object, for every case of the translation, and that
// the version says whether two objects are the same.
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
				t.Errorf("%s: istiod reads something else (-object +read):\n%s", test.Name, diff)
			}
			if again, err := encode(object); err != nil || again.version != r.version || !proto.Equal(again.wire, r.wire) {
				t.Errorf("%s: the same object has the versions %s and %s, %v", test.Name, r.version, again.version, err)
			}
			if other, taken := versions[r.version]; taken && !other.Equal(object) {
				t.Errorf("%s: two objects share the version %s: %v and %v", test.Name, r.version, object, other)
			}
			versions[r.version] = object
		}
	}
	if len(versions) < 50 {
		t.Errorf("%d objects were looked at", len(versions))
	}
}

// TestVersionIsOfEverything holds that no part of an object can change without its version.
func TestVersionIsOfEverything(t *testing.T) {
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
		if other, taken := seen[r.version]; taken {
			t.Errorf("%s and %s have the same version", name, other)
		}
		seen[r.version] = name
	}
}

// TestEncodedOnce holds that an object is encoded when it changes and never again: not for another service's change, and
// not for another client.
func TestEncodedOnce(t *testing.T) {
	shelf, store := newShelf(0), newStore()
	replace := func(label string, objects ...mesh.Object) []*resource {
		set, gone, _, err := shelf.replace(named(label), objects, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		store.publish(set, gone)
		return set
	}
	replace("a", webEntry("a", "10.0.0.1"), workload("a", "1", "10.0.0.1"))
	made := replace("b", webEntry("b", "10.0.0.2"), workload("b", "1", "10.0.0.2"))
	all := store.collections[mesh.ServiceEntryKind].all()
	if changed := replace("b", webEntry("b", "10.0.0.9"), workload("b", "1", "10.0.0.2")); len(changed) != 1 || changed[0].kind != mesh.ServiceEntryKind {
		t.Errorf("with a change of one object %d were encoded", len(changed))
	}
	if held := shelf.held[named("b")].resources[1]; held != made[1] {
		t.Error("what stayed as it was is another resource")
	}
	again := store.collections[mesh.ServiceEntryKind].all()
	if kept := slices.ContainsFunc(again, func(wire *anypb.Any) bool { return slices.Contains(all, wire) }); !kept || len(again) != 2 {
		t.Error("what is sent isn't what was encoded")
	}
	if other := store.collections[mesh.ServiceEntryKind].all(); &other[0] != &again[0] {
		t.Error("another client is sent a copy")
	}
}

// decode reads a resource as istiod does.
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
	object.Namespace, object.Name = parts(read.GetMetadata().GetName())
	return object
}
