package kube

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// TestAddressesOfClaims holds that of all that an object may have for addresses, those within our ranges count, as far
// as the cache keeps of it.
func TestAddressesOfClaims(t *testing.T) {
	o := &Output{options: Options{Addresses: vip.Options{
		IPv4: netip.MustParsePrefix("10.77.0.0/16"), IPv6: netip.MustParsePrefix("fd00:77::/64"),
	}}}
	for name, c := range map[string]struct {
		object client.Object
		want   []string
	}{
		"its own": {
			addressed("ns", "web", "10.77.0.1", "10.78.0.1", "fd00:77::1", "10.77.3.1/24", "0.0.0.0/0", "web.example.com"),
			[]string{"10.77.0.1/32", "fd00:77::1/128", "10.77.3.0/24", "0.0.0.0/0"},
		},
		"given by istiod": {&networkingv1.ServiceEntry{Status: networking.ServiceEntryStatus{
			Addresses: []*networking.ServiceEntryAddress{{Value: "10.77.0.2"}, {Value: "240.240.0.1"}},
		}}, []string{"10.77.0.2/32"}},
		"a Service's": {
			&corev1.Service{Spec: corev1.ServiceSpec{ClusterIPs: []string{"10.77.0.3", "fd00:77::3", "None"}}},
			[]string{"10.77.0.3/32", "fd00:77::3/128"},
		},
		"a Service's without any": {&corev1.Service{Spec: corev1.ServiceSpec{ClusterIPs: []string{"None"}}}, nil},
	} {
		kept, err := keepClaim(c.object)
		if err != nil {
			t.Fatal(err)
		}
		claim, foreign := o.claimOf(kept.(client.Object))
		var got []string
		for _, prefix := range claim.addresses {
			got = append(got, prefix.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" || !foreign {
			t.Errorf("%s: foreign %v (-want +got):\n%s", name, foreign, diff)
		}
	}
}

// TestClashes holds that an address clashes where some namespace sees both, the other object's own too.
func TestClashes(t *testing.T) {
	for _, c := range []struct {
		kind         string
		theirs, ours []string
		want         bool
	}{
		{"ServiceEntry", nil, nil, true},
		{"ServiceEntry", []string{"."}, nil, true},
		{"ServiceEntry", []string{"."}, []string{"."}, false},
		{"ServiceEntry", []string{"."}, []string{"theirs"}, true},
		{"ServiceEntry", []string{"~"}, nil, false},
		{"ServiceEntry", nil, []string{"~"}, false},
		{"ServiceEntry", []string{"bank"}, []string{"shop"}, false},
		{"Service", nil, []string{"bank"}, true},
		{"Service", nil, []string{"~"}, false},
	} {
		ours := []mesh.Object{{Namespace: "ours", Spec: &networking.ServiceEntry{ExportTo: c.ours}}}
		theirs := claim{kind: c.kind, namespace: "theirs", exportTo: c.theirs}
		if got := theirs.clashes(ours); got != c.want {
			t.Errorf("%s seen by %v, ours by %v: %v", c.kind, c.theirs, c.ours, got)
		}
	}
}
