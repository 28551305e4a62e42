package object

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestKinds verifies that New, KindOf and SpecOf agree about each kind, and that every kind is in Scheme and Mapper.
func TestKinds(t *testing.T) {
	for _, kind := range []mesh.Kind{mesh.ServiceEntryKind, mesh.WorkloadEntryKind, mesh.DestinationRuleKind} {
		live := New(kind)
		if got := KindOf(live); got != kind || SpecOf(live) == nil {
			t.Errorf("%s: kind %q, spec %v", kind, got, SpecOf(live))
		}
		gvk := networkingv1.SchemeGroupVersion.WithKind(string(kind))
		if _, err := Mapper.RESTMapping(gvk.GroupKind(), gvk.Version); err != nil || !Scheme.Recognizes(gvk) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestServiceOf verifies that only names and kinds that isthmus writes belong to a service.
func TestServiceOf(t *testing.T) {
	web := mesh.Name{Source: "consul", Label: "web"}
	instance := web.WorkloadEntry(catalog.InstanceID{Node: "n1", ServiceID: "1"})
	for _, c := range []struct {
		name string
		live client.Object
		want bool
	}{
		{"ServiceEntry", &networkingv1.ServiceEntry{ObjectMeta: metav1.ObjectMeta{Name: web.ServiceEntry()}}, true},
		{"ServiceEntry without a source", &networkingv1.ServiceEntry{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, false},
		{"WorkloadEntry", &networkingv1.WorkloadEntry{ObjectMeta: metav1.ObjectMeta{Name: instance}}, true},
		{"WorkloadEntry without a hash", &networkingv1.WorkloadEntry{ObjectMeta: metav1.ObjectMeta{Name: "web.consul"}}, false},
		{"ConfigMap", &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: instance}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := ServiceOf(c.live); ok != c.want || ok && got != web {
				t.Errorf("service %v, %v", got, ok)
			}
		})
	}
}

// TestStripManagedFields verifies that the transform keeps the ownership and drops the rest, and leaves a tombstone alone.
func TestStripManagedFields(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	entry := &networkingv1.ServiceEntry{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
		{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply},
		{Manager: FieldOwner, Operation: metav1.ManagedFieldsOperationApply, Time: &at, FieldsV1: &metav1.FieldsV1{}},
	}}}
	if _, err := StripManagedFields(entry); err != nil {
		t.Fatal(err)
	}
	want := []metav1.ManagedFieldsEntry{{Manager: FieldOwner, Operation: metav1.ManagedFieldsOperationApply, Time: &at}}
	if diff := cmp.Diff(want, entry.ManagedFields); diff != "" || !IsOurs(entry) || !AppliedAt(entry).Equal(at.Time) {
		t.Errorf("ours %v, applied at %s (-want +got):\n%s", IsOurs(entry), AppliedAt(entry), diff)
	}
	if got, err := StripManagedFields("tombstone"); got != "tombstone" || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}
