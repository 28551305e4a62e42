package kube

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/conflict"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestHostConflicts verifies that a host stays with the object that had it first. The subtests are the steps of one run.
func TestHostConflicts(t *testing.T) {
	const ns, theirs = "conflict-ours", "conflict-theirs"
	b, c := newFakeState(ns), newClient(t)
	bare, err := mesh.ParseHostTemplate("{{ .Name }}")
	if err != nil {
		t.Fatal(err)
	}
	b.options.Hosts = []mesh.HostTemplate{bare}
	makeNamespace(t, c, theirs)
	makeNamespace(t, c, ns)
	both := entryOf(theirs, "both", nil, "gone.service.consul", "gone")
	one := entryOf(theirs, "one", nil, "web")
	hidden := entryOf(theirs, "hidden", []string{"."}, "free", "free.service.consul")
	inOurs := entryOf(ns, "inside", nil, "inner")
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: theirs, Name: "short"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
	create(t, c, both, one, hidden, inOurs, service)
	for _, name := range []string{"gone", "web", "free", "short", "inner"} {
		b.set(name, map[string]string{"1": "v1"})
	}
	noGrace := func(o *Options) { o.Grace = 0 }
	r := start(t, b, noGrace)
	r.waitReady(t)
	live := hosts(t, c, ns)
	all := []string{
		"free.service.consul free", "gone.service.consul gone", "inner.service.consul", "inner",
		"short.service.consul short", "web.service.consul web",
	}

	t.Run("hosts of older objects are yielded", func(t *testing.T) {
		eventually(t, []string{
			"free.service.consul free", "inner.service.consul", "inner", "short.service.consul", "web.service.consul",
		}, live)
		expectConflicts(t, r, []conflict.Conflict{
			{Service: "gone.consul", Host: "gone", Object: "ServiceEntry conflict-theirs/both", Outcome: conflict.Yielded},
			{Service: "gone.consul", Host: "gone.service.consul", Object: "ServiceEntry conflict-theirs/both", Outcome: conflict.Yielded},
			{Service: "inner.consul", Host: "inner", Object: "ServiceEntry conflict-ours/inside", Outcome: conflict.Yielded},
			{Service: "short.consul", Host: "short", Object: "Service conflict-theirs/short", Outcome: conflict.Yielded},
			{Service: "web.consul", Host: "web", Object: "ServiceEntry conflict-theirs/one", Outcome: conflict.Yielded},
		})
		assertWrites(t, r, map[string]int{"apply": 8})
	})
	t.Run("free hosts are taken", func(t *testing.T) {
		remove(t, c, both, one, service)
		eventually(t, all, live)
	})
	t.Run("newer objects take nothing", func(t *testing.T) {
		newer(t, c, ns)
		create(t, c, entryOf(theirs, "late", nil, "web", "gone", "gone.service.consul"))
		eventually(t, true, func() bool {
			found, _ := r.Conflicts()
			return slices.ContainsFunc(found, func(c conflict.Conflict) bool {
				return c.Host == "web" && c.Object == "ServiceEntry conflict-theirs/late" && c.Outcome == conflict.Kept
			})
		})
	})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, b, noGrace)
	again.waitReady(t)
	t.Run("a restart changes nothing", func(t *testing.T) {
		eventually(t, all, live)
		if writes := again.attempts(t); len(writes) != 0 {
			t.Errorf("a restart wrote %v", writes)
		}
	})
	t.Run("hosts of a removed service are free", func(t *testing.T) {
		b.set("web", nil)
		without := slices.DeleteFunc(slices.Clone(all), func(hosts string) bool { return hosts == "web.service.consul web" })
		eventually(t, without, live)
		b.set("web", map[string]string{"1": "v1"})
		eventually(t, append(without, "web.service.consul"), live)
	})
}

// TestHostConflictsInManyNamespaces verifies that conflicts are detected if services are spread over more namespaces than a
// field selector can exclude.
func TestHostConflictsInManyNamespaces(t *testing.T) {
	t.Parallel()
	const ns, theirs = "conflict-many", "conflict-beside-many"
	b, c := newFakeState(ns), newClient(t)
	b.options.Placement.Shards = conflict.MaxExcludedNamespaces + 1
	inside := b.options.Placement.Namespaces()[0]
	for _, namespace := range []string{inside, theirs} {
		makeNamespace(t, c, namespace)
	}
	create(t, c, entryOf(inside, "inside", nil, "many-web.service.consul"), entryOf(theirs, "outside", nil, "many-db.service.consul"))
	for _, name := range []string{"many-web", "many-db", "many-free"} {
		b.set(name, map[string]string{"1": "v1"})
	}
	r := start(t, b, nil)
	r.waitReady(t)
	expectConflicts(t, r, []conflict.Conflict{
		{Service: "many-db.consul", Host: "many-db.service.consul", Object: "ServiceEntry conflict-beside-many/outside", Outcome: conflict.Yielded},
		{Service: "many-web.consul", Host: "many-web.service.consul", Object: "ServiceEntry " + inside + "/inside", Outcome: conflict.Yielded},
	})
	assertWrites(t, r, map[string]int{"apply": 2})
}

// TestHostConflictsWithoutPermission verifies that isthmus without the permission to see the whole cluster logs that once,
// and detects conflicts in its own namespaces; and that deploy/rbac-conflicts.yaml is enough to see the cluster.
func TestHostConflictsWithoutPermission(t *testing.T) {
	const ns = "consul-services"
	applyFile(t, "../../deploy/rbac.yaml")
	b, c := newFakeState(ns), newClient(t)
	theirs := entryOf(ns, "theirs", nil, "taken.service.consul")
	create(t, c, theirs)
	b.set("taken", map[string]string{"1": "v1"})
	b.set("open", map[string]string{"1": "v1"})
	config := daemonREST(t)
	r := start(t, b, func(o *Options) { o.REST, o.Grace = config, 0 })
	r.waitReady(t)
	eventually(t, []string{"open.service.consul", "taken.service.consul"}, hosts(t, c, ns))
	for _, kind := range []string{"serviceentries", "services"} {
		if got := r.told(conflict.MessagePermissionMissing, "kind="+kind+" ")(); got != 1 {
			t.Errorf("%d lines about the missing permission for %s", got, kind)
		}
	}
	remove(t, c, theirs)
	eventually(t, true, func() bool { return r.attempts(t)["apply"] == 4 })
	b.set("taken", nil)
	b.set("open", nil)
	eventually(t, []string{}, hosts(t, c, ns))

	applyFile(t, "../../deploy/rbac-conflicts.yaml")
	t.Cleanup(func() { // Other tests have the permissions of deploy/rbac.yaml only.
		for _, kind := range []string{"ClusterRoleBinding", "ClusterRole"} {
			if err := removePermission(kind, "isthmus-conflicts"); err != nil {
				t.Error(err)
			}
		}
	})
	seeing := start(t, b, func(o *Options) { o.REST = config })
	seeing.waitReady(t)
	if seeing.told(conflict.MessagePermissionMissing)() > 0 {
		t.Error("the permissions of deploy/rbac-conflicts.yaml are not enough")
	}
}

func removePermission(kind, name string) error {
	c, err := client.New(shared.kube.REST, client.Options{})
	if err != nil {
		return err
	}
	permission := &unstructured.Unstructured{}
	permission.SetGroupVersionKind(schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: kind})
	permission.SetName(name)
	return c.Delete(context.Background(), permission)
}

// expectConflicts verifies the conflicts of an output.
func expectConflicts(t *testing.T, r *runningOutput, want []conflict.Conflict) {
	t.Helper()
	got, count := r.Conflicts()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || count != len(want) {
		t.Errorf("%d conflicts (-want +got):\n%s", count, diff)
	}
}

// entryOf returns a ServiceEntry of another client.
func entryOf(namespace, name string, exportTo []string, hosts ...string) *networkingv1.ServiceEntry {
	return &networkingv1.ServiceEntry{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: networking.ServiceEntry{
		Hosts: hosts, ExportTo: exportTo, Resolution: networking.ServiceEntry_STATIC,
		Ports: []*networking.ServicePort{{Number: 80, Name: "http", Protocol: "HTTP"}},
	}}
}

// hosts returns the hosts of each ServiceEntry in a namespace.
func hosts(t *testing.T, c client.Client, ns string) func() []string {
	return func() []string {
		var list networkingv1.ServiceEntryList
		if err := c.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
			return []string{err.Error()}
		}
		all := []string{}
		for _, entry := range list.Items {
			all = append(all, strings.Join(entry.Spec.Hosts, " "))
		}
		return all
	}
}

// newer waits until an object that is created next is newer than all ServiceEntries in a namespace. The API server counts
// seconds.
func newer(t *testing.T, c client.Client, ns string) {
	t.Helper()
	var list networkingv1.ServiceEntryList
	if err := c.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	latest := time.Time{}
	for _, entry := range list.Items {
		if at := entry.CreationTimestamp.Time; at.After(latest) {
			latest = at
		}
	}
	eventually(t, "", func() string {
		if now := time.Now(); !now.After(latest.Add(time.Second)) {
			return fmt.Sprint("it is ", now)
		}
		return ""
	})
}
