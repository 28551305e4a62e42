package kube

import (
	"slices"
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestRemoval verifies that endpoints are removed at once and the entry after the grace period, that an entry that is
// wanted again before that is the same object, and that nothing is removed before the source has reported everything.
func TestRemoval(t *testing.T) {
	const ns = "removal"
	b, c := newFakeState(ns), newClient(t)
	b.set("web", map[string]string{"1": "v1"})
	b.set("db", map[string]string{"1": "v1"})
	r := start(t, b, nil)
	r.waitReady(t)
	b.set("web", nil)
	eventually(t, []string{"SE removal/db.consul", "SE removal/web.consul", "WLE removal/" + wle("db", "1") + " v1"}, objects(t, c, ns))
	b.set("web", map[string]string{"1": "v2"})
	eventually(t, true, func() bool { return slices.Contains(objects(t, c, ns)(), "WLE removal/"+wle("web", "1")+" v2") })
	assertWrites(t, r, map[string]int{"apply": 5, "delete": 1})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	// A restart before the source has reported; the state does not have "web".
	b.outputs = nil
	b.set("web", nil)
	b.setComplete(false)
	start(t, b, func(o *Options) { o.Grace = 0 })
	b.set("db", map[string]string{"1": "v2"})
	eventually(t, []string{
		"SE removal/db.consul", "SE removal/web.consul",
		"WLE removal/" + wle("db", "1") + " v2", "WLE removal/" + wle("web", "1") + " v2",
	}, objects(t, c, ns))
	b.setComplete(true)
	eventually(t, []string{"SE removal/db.consul", "WLE removal/" + wle("db", "1") + " v2"}, objects(t, c, ns))
}

func TestRemovalOfInlineEndpoints(t *testing.T) {
	const ns = "removal-inline"
	b, c := newFakeState(ns), newClient(t)
	b.options.Form = mesh.InlineForm
	b.set("web", map[string]string{"1": "v1", "2": "v2"})
	start(t, b, nil).waitReady(t)
	endpoints := func() int {
		var entry networkingv1.ServiceEntry
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "web.consul"}, &entry); err != nil {
			return -1
		}
		return len(entry.Spec.Endpoints)
	}
	eventually(t, 2, endpoints)
	b.set("web", nil)
	eventually(t, 0, endpoints)
}
