package kube

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestStaleCache verifies that an object of any kind is written although the cache does not have its newest version.
func TestStaleCache(t *testing.T) {
	t.Parallel()
	const ns = "behind-the-watch"
	b, c := newFakeState(ns), newClient(t)
	b.options.TLSOrigination = []mesh.TLSOrigination{{Services: []string{"*"}, Force: true, Protocol: mesh.HTTP}}
	b.set("web", map[string]string{"1": "v1"})
	r := start(t, b, func(o *Options) { o.DestinationRules = true })
	r.waitReady(t)
	name := mesh.Name{Source: "consul", Label: "web"}
	objects := b.Desired(name).Objects
	eventually(t, len(objects), func() int { return r.writes(t)["apply"] })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, wanted := range objects {
		t.Run(string(wanted.Kind), func(t *testing.T) {
			seen := object.New(wanted.Kind)
			if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: wanted.Name}, seen); err != nil {
				t.Fatal(err)
			}
			newer := seen.DeepCopyObject().(client.Object)
			if err := c.Patch(t.Context(), newer, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"team":"a"}}}`))); err != nil {
				t.Fatal(err)
			}
			wanted.Annotations = maps.Clone(wanted.Annotations)
			if wanted.Annotations == nil {
				wanted.Annotations = map[string]string{}
			}
			wanted.Annotations["isthmus-mesh.github.io/new"] = "yes"
			w := writer{Output: r.Output, name: name}
			w.expectations.clear()
			if err := w.applyIfChanged(t.Context(), wanted, seen); err != nil {
				t.Fatal(err)
			}
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(seen), newer); err != nil {
				t.Fatal(err)
			}
			if newer.GetAnnotations()["isthmus-mesh.github.io/new"] != "yes" || newer.GetLabels()["team"] != "a" {
				t.Errorf("it has the annotations %v and the labels %v", newer.GetAnnotations(), newer.GetLabels())
			}
		})
	}
}

// TestDeleteEventDuringReconcile verifies that a reconcile that read the cache before a delete event, and compares after it,
// does not mistake an object that isthmus itself deleted for a live one: that would cost a write that the API server rejects.
func TestDeleteEventDuringReconcile(t *testing.T) {
	t.Parallel()
	const ns = "delete-event"
	name := mesh.Name{Source: "consul", Label: "web"}
	for _, c := range []struct {
		name  string
		write func(t *testing.T, w *writer, live client.Object, wanted mesh.Object) error
		want  map[string]int
	}{
		{"apply", func(t *testing.T, w *writer, live client.Object, wanted mesh.Object) error {
			return w.applyIfChanged(t.Context(), wanted, live)
		}, map[string]int{"apply": 3, "delete": 1}},
		{"remove", func(t *testing.T, w *writer, live client.Object, _ mesh.Object) error {
			return w.remove(t.Context(), live)
		}, map[string]int{"apply": 2, "delete": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns := ns + "-" + c.name
			b := newFakeState(ns)
			b.set("web", map[string]string{"1": "v1"})
			r := start(t, b, nil)
			r.waitReady(t)
			key := object.Key{Kind: mesh.WorkloadEntryKind, Namespace: ns, Name: wle("web", "1")}
			inCache := func() client.Object {
				live, err := r.live(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				return live[key]
			}
			eventually(t, true, func() bool { return inCache() != nil })
			before := inCache()
			b.set("web", nil)
			eventually(t, true, func() bool { return inCache() == nil })
			assertWrites(t, r, map[string]int{"apply": 2, "delete": 1})
			if err := r.stop(); err != nil { // The running output would remove the object again.
				t.Fatal(err)
			}
			r.expectations.observeDelete(before) // The event may have come before the response to the delete.
			b.outputs = nil
			b.set("web", map[string]string{"1": "v2"})
			desired := b.Desired(name).Objects
			w := writer{Output: r.Output, name: name}
			if err := c.write(t, &w, before, desired[len(desired)-1]); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, r.attempts(t)); diff != "" {
				t.Errorf("writes (-want +got):\n%s", diff)
			}
		})
	}
}
