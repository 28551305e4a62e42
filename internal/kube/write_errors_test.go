package kube

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestForeignObject verifies that an object that isthmus did not write stays as it is, even with our name and labels,
// and that ours is written when the other one is gone.
func TestForeignObject(t *testing.T) {
	const ns = "foreign"
	b, c := newFakeState(ns), newClient(t)
	if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{mesh.ManagedByLabel: mesh.ManagedBy, mesh.SourceLabel: "consul", mesh.ServiceLabel: "web"}
	taken := &networkingv1.ServiceEntry{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web.consul", Labels: labels},
		Spec: networking.ServiceEntry{
			Hosts: []string{"theirs.example"}, Resolution: networking.ServiceEntry_DNS,
			Ports: []*networking.ServicePort{{Number: 80, Name: "http", Protocol: "HTTP"}},
		},
	}
	lookalike := &networkingv1.WorkloadEntry{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: wle("gone", "1"), Labels: labels},
		Spec:       networking.WorkloadEntry{Address: "10.9.9.9"},
	}
	for _, object := range []client.Object{taken, lookalike} {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	b.set("web", map[string]string{"1": "v1"})
	r := start(t, b, nil)
	r.waitReady(t)
	eventually(t, 1, func() int { return strings.Count(r.log.String(), "ServiceEntry foreign/web.consul is not ours") })
	for _, object := range []client.Object{taken, lookalike} {
		version := object.GetResourceVersion()
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil || object.GetResourceVersion() != version {
			t.Errorf("%s was changed: %v", object.GetName(), err)
		}
	}
	if err := c.Delete(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	eventually(t, []string{
		"SE foreign/web.consul", "WLE foreign/" + lookalike.Name + " ", "WLE foreign/" + wle("web", "1") + " v1",
	}, objects(t, c, ns))
}

// TestRejectedObject verifies that an object that the API server rejects is reported once and delays no other.
func TestRejectedObject(t *testing.T) {
	const ns = "refused"
	b, c := newFakeState(ns), newClient(t)
	bad := mesh.Name{Source: "consul", Label: "bad"}
	b.put(bad, mesh.Resources{Objects: []mesh.Object{{
		Kind: mesh.ServiceEntryKind, Namespace: ns, Name: bad.ServiceEntry(), Spec: &networking.ServiceEntry{},
	}}})
	b.set("good", map[string]string{"1": "v1"})
	r := start(t, b, nil)
	r.waitReady(t)
	eventually(t, []string{"SE refused/good.consul", "WLE refused/" + wle("good", "1") + " v1"}, objects(t, c, ns))
	if got := strings.Count(r.log.String(), MessageWriteFailed); got != 1 {
		t.Errorf("%d lines for one failure:\n%s", got, r.log)
	}
}

func TestNamespaceWithoutPermission(t *testing.T) {
	b := newFakeState("no-such-namespace")
	config := rest.CopyConfig(apiServer(t).REST)
	config.Impersonate = rest.ImpersonationConfig{UserName: "viewer", Groups: []string{"system:authenticated"}}
	grantView(t, newClient(t))
	viewer, err := client.New(config, client.Options{Scheme: object.Scheme, Mapper: object.Mapper})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, false, func() bool { // The API server notices a new permission by a watch.
		return apierrors.IsForbidden(viewer.Get(t.Context(), client.ObjectKey{Name: "no-such-namespace"}, &corev1.Namespace{}))
	})
	output, err := New(Options{
		REST: config, Placement: b.options.Placement, Writers: 1, Holds: holdsOf(b),
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer output.http.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	want := "namespace no-such-namespace does not exist and may not be created: create it, or allow isthmus to create namespaces"
	if err := output.Run(ctx, b); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("run: %v, want %q", err, want)
	}
}

// TestNamespaceDeleted verifies that a namespace that is deleted comes back with all its objects.
func TestNamespaceDeleted(t *testing.T) {
	const ns = "namespace-gone"
	b, c := newFakeState(ns), newClient(t)
	b.set("web", map[string]string{"1": "v1"})
	r := start(t, b, nil)
	r.waitReady(t)
	deleteNamespace(t, c, ns)
	for _, object := range []client.Object{&networkingv1.ServiceEntry{}, &networkingv1.WorkloadEntry{}} {
		if err := c.DeleteAllOf(t.Context(), object, client.InNamespace(ns)); err != nil {
			t.Fatal(err)
		}
	}
	finalizeNamespace(t, c, ns)
	eventually(t, []string{"SE " + ns + "/web.consul", "WLE " + ns + "/" + wle("web", "1") + " v1"}, objects(t, c, ns))
}
