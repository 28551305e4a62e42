package kube

import (
	"maps"
	"testing"

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
