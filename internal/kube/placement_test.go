package kube

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// placed returns the objects of a service "web" with one instance.
func placed(namespace string) []string {
	return []string{"SE " + namespace + "/web.consul", "WLE " + namespace + "/" + wle("web", "1") + " v1"}
}

// TestMoveAcrossRestarts verifies that a service moves at a start when another rule, or none, places it elsewhere, out
// of namespaces that isthmus created.
func TestMoveAcrossRestarts(t *testing.T) {
	b, c := newFakeState("move"), newClient(t)
	namespaces := []string{"move", "move-shop", "move-other"}
	for _, namespace := range []string{"move-shop", "move-other", "move"} {
		b.options.Placement.Rules = nil
		if namespace != "move" {
			b.options.Placement.Rules = []mesh.Rule{{Services: []string{"w*"}, Namespace: namespace}}
		}
		b.outputs = nil
		b.set("web", map[string]string{"1": "v1"})
		r := start(t, b, nil)
		r.waitReady(t)
		eventually(t, placed(namespace), objects(t, c, namespaces...))
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	var created corev1.Namespace
	if err := c.Get(t.Context(), client.ObjectKey{Name: "move-shop"}, &created); err != nil {
		t.Fatal(err)
	}
	if got := created.Labels[mesh.PlacementLabel]; got != "move" {
		t.Errorf("the namespace has the placement label %q", got)
	}
}

// TestMoveWhileRunning verifies that a service moves between namespaces that were known at the start, and that its
// objects in the old namespace stay until the new namespace accepts the new ones.
func TestMoveWhileRunning(t *testing.T) {
	b, c := newFakeState("moving"), newClient(t)
	b.options.Placement.Choices = []string{"moving-there"}
	b.set("web", map[string]string{"1": "v1"})
	r := start(t, b, nil)
	r.waitReady(t)
	namespaces := []string{"moving", "moving-there"}
	eventually(t, placed("moving"), objects(t, c, namespaces...))

	deleteNamespace(t, c, "moving-there")
	b.options.Placement.Rules = []mesh.Rule{{Services: []string{"web"}, Namespace: "moving-there"}}
	b.set("web", map[string]string{"1": "v1"})
	eventually(t, true, func() bool { return strings.Contains(r.log.String(), MessageWriteFailed) })
	if got := objects(t, c, namespaces...)(); !slices.Equal(got, placed("moving")) {
		t.Errorf("before the move: %v", got)
	}
	finalizeNamespace(t, c, "moving-there")
	eventually(t, placed("moving-there"), objects(t, c, namespaces...))

	b.options.Placement.Rules = nil
	b.set("web", map[string]string{"1": "v1"})
	eventually(t, placed("moving"), objects(t, c, namespaces...))
}

// TestNamedNamespaceWithoutPermission verifies that a namespace that the configuration names, and that isthmus may not
// read, is an error at the start.
func TestNamedNamespaceWithoutPermission(t *testing.T) {
	applyFile(t, "../../deploy/rbac.yaml")
	b := newFakeState("consul-services")
	b.options.Placement.Choices = []string{"default"}
	output, err := New(Options{
		REST: daemonREST(t), Placement: b.options.Placement, Writers: 1, Holds: holdsOf(b), Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer output.http.CloseIdleConnections()
	if err := fmt.Sprint(output.Run(t.Context(), b)); !strings.Contains(err, "in namespace default: ") {
		t.Errorf("got %s", err)
	}
}

// TestShards verifies that services are spread over shards, and that they move when the number of shards changes.
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

// TestTwoPlacements verifies that isthmus leaves the objects of another isthmus alone that reads a source of the same
// name into another namespace.
func TestTwoPlacements(t *testing.T) {
	first, second, c := newFakeState("neighbor"), newFakeState("neighbor-1"), newClient(t)
	first.set("web", map[string]string{"1": "v1"})
	second.set("web", map[string]string{"1": "v2"})
	second.set("db", map[string]string{"1": "v2"})
	start(t, first, nil).waitReady(t)
	start(t, second, nil).waitReady(t)
	again := start(t, first, func(o *Options) { o.Grace = 0 })
	again.waitReady(t)
	again.Synced()
	first.set("last", map[string]string{"1": "v1"}) // All services before it in the queue are reconciled when it is written.
	want := []string{
		"SE neighbor-1/db.consul", "SE neighbor-1/web.consul", "SE neighbor/last.consul", "SE neighbor/web.consul",
		"WLE neighbor-1/" + wle("db", "1") + " v2", "WLE neighbor-1/" + wle("web", "1") + " v2",
		"WLE neighbor/" + wle("last", "1") + " v1", "WLE neighbor/" + wle("web", "1") + " v1",
	}
	slices.Sort(want)
	eventually(t, want, objects(t, c, "neighbor", "neighbor-1"))
}
