package conflict

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

var parser = Parser{
	Ranges:  vip.Options{IPv4: netip.MustParsePrefix("10.77.0.0/16"), IPv6: netip.MustParsePrefix("fd00:77::/64")},
	Sources: []string{"consul"},
}

// TestParseAddresses verifies that, of all addresses of an object, Parse returns those that overlap the ranges of virtual
// addresses, and that the cache transform keeps them.
func TestParseAddresses(t *testing.T) {
	for _, c := range []struct {
		name   string
		object client.Object
		want   []string
	}{
		{"ServiceEntry", &networkingv1.ServiceEntry{Spec: networking.ServiceEntry{Addresses: []string{
			"10.77.0.1", "10.78.0.1", "fd00:77::1", "10.77.3.1/24", "0.0.0.0/0", "web.example.com",
		}}}, []string{"10.77.0.1/32", "fd00:77::1/128", "10.77.3.0/24", "0.0.0.0/0"}},
		{"assigned by istiod", &networkingv1.ServiceEntry{Status: networking.ServiceEntryStatus{
			Addresses: []*networking.ServiceEntryAddress{{Value: "10.77.0.2"}, {Value: "240.240.0.1"}},
		}}, []string{"10.77.0.2/32"}},
		{"Service", &corev1.Service{Spec: corev1.ServiceSpec{
			ClusterIPs: []string{"10.77.0.3", "fd00:77::3", "None"},
		}}, []string{"10.77.0.3/32", "fd00:77::3/128"}},
		{"headless Service", &corev1.Service{Spec: corev1.ServiceSpec{ClusterIPs: []string{"None"}}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept, err := stripUnused(c.object)
			if err != nil {
				t.Fatal(err)
			}
			foreign, isForeign := parser.Parse(kept.(client.Object))
			var got []string
			for _, prefix := range foreign.addresses {
				got = append(got, prefix.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" || !isForeign {
				t.Errorf("foreign %v (-want +got):\n%s", isForeign, diff)
			}
		})
	}
}

// TestParseOwnership verifies that a ServiceEntry is ours only if isthmus applied it, under a name of one of our sources.
func TestParseOwnership(t *testing.T) {
	applied := []metav1.ManagedFieldsEntry{{Manager: object.FieldOwner, Operation: metav1.ManagedFieldsOperationApply}}
	updated := []metav1.ManagedFieldsEntry{{Manager: object.FieldOwner, Operation: metav1.ManagedFieldsOperationUpdate}}
	for _, c := range []struct {
		name    string
		object  string
		fields  []metav1.ManagedFieldsEntry
		foreign bool
	}{
		{"ours", "web.consul", applied, false},
		{"of another source", "web.east", applied, true},
		{"under a name that isthmus never writes", "web", applied, true},
		{"not applied", "web.consul", updated, true},
		{"of another client", "web.consul", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			entry := &networkingv1.ServiceEntry{ObjectMeta: metav1.ObjectMeta{Name: c.object, ManagedFields: c.fields}}
			kept, err := stripUnused(entry)
			if err != nil {
				t.Fatal(err)
			}
			if _, got := parser.Parse(kept.(client.Object)); got != c.foreign {
				t.Errorf("foreign is %v, want %v", got, c.foreign)
			}
		})
	}
}
