package kube

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func TestOneChangeIsOneWrite(t *testing.T) {
	const ns = "one-change"
	b, c := newFakeState(ns), newClient(t)
	b.set("web", map[string]string{"1": "v1", "2": "v1"})
	b.set("db", map[string]string{"1": "v1"})
	r := start(t, b, nil)
	r.waitReady(t)
	all := []string{
		"SE one-change/db.consul", "SE one-change/web.consul",
		"WLE one-change/" + wle("db", "1") + " v1",
		"WLE one-change/" + wle("web", "1") + " v1", "WLE one-change/" + wle("web", "2") + " v1",
	}
	slices.Sort(all)
	eventually(t, all, objects(t, c, ns))
	want := map[string]int{"apply": 5}
	assertWrites(t, r, want)

	b.set("web", map[string]string{"1": "v1", "2": "v2"})
	want["apply"]++
	eventually(t, want, func() map[string]int { return r.writes(t) })

	b.set("web", map[string]string{"1": "v1"})
	want["delete"]++
	eventually(t, want, func() map[string]int { return r.writes(t) })

	for range 5 { // Changes that are faster than the cache.
		for i := range 3 {
			b.set("db", map[string]string{"1": fmt.Sprint("v", i)})
		}
	}
	b.set("db", map[string]string{"1": "last"})
	eventually(t, true, func() bool {
		return slices.Contains(objects(t, c, ns)(), "WLE one-change/"+wle("db", "1")+" last")
	})
	before := r.writes(t)
	if got := before["apply"] - want["apply"]; got > 16 {
		t.Errorf("%d writes for 16 changes", got)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	again := start(t, b, nil)
	again.waitReady(t)
	again.Synced()
	b.set("last", map[string]string{"1": "v1"}) // All services before it in the queue are reconciled when it is written.
	eventually(t, map[string]int{"apply": 2}, func() map[string]int { return again.writes(t) })
}

// TestDriftCorrection verifies that changes of our objects by other clients are undone, and that their additions to
// the metadata stay.
func TestDriftCorrection(t *testing.T) {
	const ns = "heal"
	b, c := newFakeState(ns), newClient(t)
	b.set("web", map[string]string{"1": "v1"})
	start(t, b, nil).waitReady(t)
	entry := func() *networkingv1.ServiceEntry {
		return &networkingv1.ServiceEntry{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web.consul"}}
	}
	workload := func() *networkingv1.WorkloadEntry {
		return &networkingv1.WorkloadEntry{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: wle("web", "1")}}
	}
	read := func(live client.Object) func() string {
		return func() string {
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(live), live); err != nil {
				return err.Error()
			}
			return fmt.Sprint(live.GetLabels()[mesh.ManagedByLabel], live.GetLabels()["version"], object.SpecOf(live))
		}
	}
	wantEntry, wantWorkload := read(entry())(), read(workload())()
	patch := func(object client.Object, json string) {
		t.Helper()
		if err := c.Patch(t.Context(), object, client.RawPatch("application/merge-patch+json", []byte(json))); err != nil {
			t.Fatal(err)
		}
	}
	for _, harm := range []struct {
		name string
		do   func()
	}{
		{"a value changed", func() { patch(workload(), `{"spec":{"labels":{"version":"v9"},"weight":7}}`) }},
		{"a value added", func() { patch(workload(), `{"spec":{"labels":{"extra":"x"}}}`) }},
		{"a value removed", func() { patch(entry(), `{"spec":{"location":null}}`) }},
		// istiod prefers the labels of the object to those of its spec.
		{"a value overridden", func() { patch(workload(), `{"metadata":{"labels":{"version":"v9"}}}`) }},
		{"a label removed", func() { patch(entry(), `{"metadata":{"labels":null}}`) }},
		{"an object deleted", func() { _ = c.Delete(t.Context(), workload()) }},
		{"an entry deleted", func() { _ = c.Delete(t.Context(), entry()) }},
		{"labels added", func() { patch(entry(), `{"metadata":{"labels":{"team":"a"},"annotations":{"note":"b"}}}`) }},
	} {
		t.Run(harm.name, func(t *testing.T) {
			harm.do()
			eventually(t, wantEntry, read(entry()))
			eventually(t, wantWorkload, read(workload()))
		})
	}
	live := entry()
	read(live)()
	if live.Labels["team"] != "a" || live.Annotations["note"] != "b" {
		t.Errorf("additions of other clients to the metadata are gone: %v %v", live.Labels, live.Annotations)
	}
}

// TestPendingSourceOfMergedService verifies that the instances of a source that has not reported stay, while those of
// the other sources of a merged service come and go. Inline endpoints share an object, so that object stays as it is.
func TestPendingSourceOfMergedService(t *testing.T) {
	for _, form := range []mesh.Form{mesh.WorkloadEntryForm, mesh.InlineForm} {
		t.Run(string(form), func(t *testing.T) {
			ns := "merged-" + strings.ToLower(string(form))
			b, c := newFakeState(ns), newClient(t)
			b.options.Form = form
			b.set("web", map[string]string{"east/1": "v1", "west/1": "v1", "west/2": "v1"})
			r := start(t, b, nil)
			r.waitReady(t)
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			whole := endpoints(t, c, ns)()

			// A start at which west has reported one instance of two, and east none.
			b.outputs, b.pending = nil, []string{"east"}
			b.set("web", map[string]string{"west/2": "v2"})
			r = start(t, b, func(o *Options) { o.Grace = 0 })
			r.waitReady(t)
			want := []string{"v1", "v2"} // The first instance of east, the second of west.
			if form == mesh.InlineForm {
				want = whole
			}
			eventually(t, want, endpoints(t, c, ns))

			b.mu.Lock()
			b.pending = nil
			b.mu.Unlock()
			b.set("web", map[string]string{"west/2": "v2"})
			b.setComplete(true)
			eventually(t, []string{"v2"}, endpoints(t, c, ns))
		})
	}
}
