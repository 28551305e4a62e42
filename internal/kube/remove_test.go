package kube

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestRemoval holds that endpoints go at once and the entry after the grace time, that an entry which is wanted
// again meanwhile is the same object, and that nothing goes while the source has not reported everything.
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

	// A restart that begins with a registry that hasn't reported, and has forgotten "web".
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

// TestShards holds that services are spread, and that they move when the number of shards changes.
func TestShards(t *testing.T) {
	b, c := newFakeState("shard"), newClient(t)
	namespaces := []string{"shard-0", "shard-1", "shard-2", "shard-3"}
	count := func() int { return len(objects(t, c, namespaces...)()) }
	for _, shards := range []int{2, 4, 1} {
		b.options.Placement.Shards = shards
		b.outputs = nil
		want := []string{}
		for i := range 8 {
			service := fmt.Sprint("s", i)
			b.set(service, map[string]string{"1": "v1"})
			ns := b.options.Placement.Namespace(mesh.Name{Source: "consul", Label: service})
			want = append(want, fmt.Sprintf("SE %s/%s.consul", ns, service), fmt.Sprintf("WLE %s/%s v1", ns, wle(service, "1")))
		}
		slices.Sort(want)
		r := start(t, b, nil)
		r.waitReady(t)
		eventually(t, 16, count)
		eventually(t, want, objects(t, c, namespaces...))
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNeighbour holds that an isthmus leaves alone what another one wrote that reads a registry of the same name into
// another namespace.
func TestNeighbour(t *testing.T) {
	first, second, c := newFakeState("neighbour"), newFakeState("neighbour-1"), newClient(t)
	first.set("web", map[string]string{"1": "v1"})
	second.set("web", map[string]string{"1": "v2"})
	second.set("db", map[string]string{"1": "v2"})
	start(t, first, nil).waitReady(t)
	start(t, second, nil).waitReady(t)
	again := start(t, first, func(o *Options) { o.Grace = 0 })
	again.waitReady(t)
	again.Synced()
	first.set("last", map[string]string{"1": "v1"}) // what comes after all others is written: so they were looked at
	want := []string{
		"SE neighbour-1/db.consul", "SE neighbour-1/web.consul", "SE neighbour/last.consul", "SE neighbour/web.consul",
		"WLE neighbour-1/" + wle("db", "1") + " v2", "WLE neighbour-1/" + wle("web", "1") + " v2",
		"WLE neighbour/" + wle("last", "1") + " v1", "WLE neighbour/" + wle("web", "1") + " v1",
	}
	slices.Sort(want)
	eventually(t, want, objects(t, c, "neighbour", "neighbour-1"))
}

// TestMergedSourceIsAway holds that while a source of a merged service has not reported, its instances stay, and those
// of the others come and go; inline, where they share an object, that object stays as it is.
func TestMergedSourceIsAway(t *testing.T) {
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

			// A start at which west has reported one instance of two, and east nothing yet.
			b.outputs, b.waiting = nil, []string{"east"}
			b.set("web", map[string]string{"west/2": "v2"})
			r = start(t, b, func(o *Options) { o.Grace = 0 })
			r.waitReady(t)
			want := []string{"v1", "v2"} // east's first one, west's second one
			if form == mesh.InlineForm {
				want = whole
			}
			eventually(t, want, endpoints(t, c, ns))

			b.mu.Lock()
			b.waiting = nil
			b.mu.Unlock()
			b.set("web", map[string]string{"west/2": "v2"})
			b.setComplete(true)
			eventually(t, []string{"v2"}, endpoints(t, c, ns))
		})
	}
}

// endpoints returns the versions of all endpoints in a namespace, in whatever form they are there.
func endpoints(t *testing.T, c client.Client, namespace string) func() []string {
	return func() []string {
		var entries networkingv1.ServiceEntryList
		var workloads networkingv1.WorkloadEntryList
		for _, list := range []client.ObjectList{&entries, &workloads} {
			if err := c.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
				return []string{err.Error()}
			}
		}
		versions := []string{}
		for _, entry := range entries.Items {
			for _, endpoint := range entry.Spec.Endpoints {
				versions = append(versions, endpoint.Labels["version"])
			}
		}
		for _, workload := range workloads.Items {
			versions = append(versions, workload.Spec.Labels["version"])
		}
		slices.Sort(versions)
		return versions
	}
}
