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

// TestHostsOfOthers holds that a host belongs to who had it first: it is left out of ours while somebody else has it, a
// service without any other host isn't written, and both come when it is free; that a newcomer takes nothing away; and
// that other services don't wait.
func TestHostsOfOthers(t *testing.T) {
	const ns, theirs = "conflict-ours", "conflict-theirs"
	b, c := newFakeState(ns), newClient(t)
	bare, err := mesh.ParseHostTemplate("{{ .Name }}")
	if err != nil {
		t.Fatal(err)
	}
	b.options.Hosts = []mesh.HostTemplate{bare}
	makeNamespace(t, c, theirs)
	whole, half := entryOf(theirs, "whole", nil, "gone.service.consul", "gone"), entryOf(theirs, "half", nil, "web")
	create(t, c, whole, half, entryOf(theirs, "private", []string{"."}, "free", "free.service.consul"))
	makeNamespace(t, c, ns)
	create(t, c, entryOf(ns, "inside", nil, "inner")) // though the namespace is ours
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: theirs, Name: "short"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
	create(t, c, service)
	for _, name := range []string{"gone", "web", "free", "short", "inner"} {
		b.set(name, map[string]string{"1": "v1"})
	}
	r := start(t, b, func(o *Options) { o.Grace = 0 })
	r.waitReady(t)
	standing := hosts(t, c, ns)
	eventually(t, []string{"free.service.consul free", "inner.service.consul", "inner", "short.service.consul", "web.service.consul"}, standing)
	told, count := r.Conflicts()
	want := []conflict.Conflict{
		{Service: "gone.consul", Host: "gone", Object: "ServiceEntry conflict-theirs/whole", Outcome: conflict.Yielded},
		{Service: "gone.consul", Host: "gone.service.consul", Object: "ServiceEntry conflict-theirs/whole", Outcome: conflict.Yielded},
		{Service: "inner.consul", Host: "inner", Object: "ServiceEntry conflict-ours/inside", Outcome: conflict.Yielded},
		{Service: "short.consul", Host: "short", Object: "Service conflict-theirs/short", Outcome: conflict.Yielded},
		{Service: "web.consul", Host: "web", Object: "ServiceEntry conflict-theirs/half", Outcome: conflict.Yielded},
	}
	if diff := cmp.Diff(want, told, cmpopts.EquateComparable(netip.Addr{})); diff != "" || count != 5 {
		t.Errorf("%d conflicts (-want +got):\n%s", count, diff)
	}
	if writes := r.writes(t)["apply"]; writes != 8 {
		t.Errorf("%d writes", writes)
	}

	// It is free.
	remove(t, c, whole, half, service)
	eventually(t, []string{"free.service.consul free", "gone.service.consul gone", "inner.service.consul", "inner", "short.service.consul short", "web.service.consul web"}, standing)

	// A newcomer, in another second than ours, takes nothing away, and a restart changes nothing.
	newer(t, c, ns)
	create(t, c, entryOf(theirs, "late", nil, "web", "gone", "gone.service.consul"))
	eventually(t, true, func() bool {
		found, _ := r.Conflicts()
		return slices.ContainsFunc(found, func(c conflict.Conflict) bool {
			return c.Host == "web" && c.Object == "ServiceEntry conflict-theirs/late"
		})
	})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, b, func(o *Options) { o.Grace = 0 })
	again.waitReady(t)
	eventually(t, []string{"free.service.consul free", "gone.service.consul gone", "inner.service.consul", "inner", "short.service.consul short", "web.service.consul web"}, standing)
	if writes := again.writes(t); len(writes) != 0 {
		t.Errorf("a restart wrote %v", writes)
	}

	// What ours had before and has no more is theirs.
	b.set("web", nil)
	eventually(t, []string{"free.service.consul free", "gone.service.consul gone", "inner.service.consul", "inner", "short.service.consul short"}, standing)
	b.set("web", map[string]string{"1": "v1"})
	eventually(t, []string{"free.service.consul free", "gone.service.consul gone", "inner.service.consul", "inner", "short.service.consul short", "web.service.consul"}, standing)
}

// TestHostsOfOthersAmongMany holds that conflicts are found where services are spread over more namespaces than a request
// can name.
func TestHostsOfOthersAmongMany(t *testing.T) {
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
	want := []conflict.Conflict{
		{Service: "many-db.consul", Host: "many-db.service.consul", Object: "ServiceEntry conflict-beside-many/outside", Outcome: conflict.Yielded},
		{Service: "many-web.consul", Host: "many-web.service.consul", Object: "ServiceEntry " + inside + "/inside", Outcome: conflict.Yielded},
	}
	told, _ := r.Conflicts()
	if diff := cmp.Diff(want, told, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if writes := r.writes(t)["apply"]; writes != 2 {
		t.Errorf("%d writes", writes)
	}
}

// TestHostsOfOthersUnseen holds that a daemon which may not look at the whole cluster says so once, and finds conflicts in
// its own namespaces all the same.
func TestHostsOfOthersUnseen(t *testing.T) {
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
	eventually(t, true, func() bool { return r.writes(t)["apply"] == 4 })
	b.set("taken", nil)
	b.set("open", nil)
	eventually(t, []string{}, hosts(t, c, ns))

	applyFile(t, "../../deploy/rbac-conflicts.yaml")
	t.Cleanup(func() { // other tests have the rights of deploy/rbac.yaml only
		for _, kind := range []string{"ClusterRoleBinding", "ClusterRole"} {
			if err := removeRight(kind, "isthmus-conflicts"); err != nil {
				t.Error(err)
			}
		}
	})
	seeing := start(t, b, func(o *Options) { o.REST = config })
	seeing.waitReady(t)
	if seeing.told(conflict.MessagePermissionMissing)() > 0 {
		t.Error("the rights of deploy/rbac-conflicts.yaml are not enough")
	}
}

func removeRight(kind, name string) error {
	c, err := client.New(shared.kube.REST, client.Options{})
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: kind})
	object.SetName(name)
	return c.Delete(context.Background(), object)
}

func entryOf(namespace, name string, exportTo []string, hosts ...string) *networkingv1.ServiceEntry {
	return &networkingv1.ServiceEntry{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: networking.ServiceEntry{
		Hosts: hosts, ExportTo: exportTo, Resolution: networking.ServiceEntry_STATIC,
		Ports: []*networking.ServicePort{{Number: 80, Name: "http", Protocol: "HTTP"}},
	}}
}

// hosts shows those of each ServiceEntry.
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

// newer waits until the clock of the API server, which counts seconds, is past what stands in a namespace.
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
