package conflict

import (
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestAffectsHost verifies which foreign objects conflict over a host with a ServiceEntry of ours in namespace "ours".
func TestAffectsHost(t *testing.T) {
	for _, c := range []struct {
		name      string
		kind      string
		namespace string
		theirs    []string
		host      string
		ours      []string
		want      bool
	}{
		{"both public", serviceEntryKind, "theirs", nil, "web", nil, true},
		{"theirs in its own namespace", serviceEntryKind, "theirs", []string{"."}, "web", nil, false},
		{"theirs in its own namespace, by name", serviceEntryKind, "theirs", []string{"theirs"}, "web", nil, false},
		{"theirs hidden", serviceEntryKind, "theirs", []string{"~"}, "web", nil, false},
		{"ours hidden", serviceEntryKind, "theirs", nil, "web", []string{"~"}, false},
		{"theirs in a third namespace", serviceEntryKind, "theirs", []string{".", "shop"}, "web", nil, true},
		{"in different namespaces", serviceEntryKind, "theirs", []string{"shop"}, "web", []string{"bank"}, false},
		{"ours in a third namespace", serviceEntryKind, "theirs", []string{"*"}, "web", []string{"bank"}, true},
		{"ours in their namespace only", serviceEntryKind, "theirs", []string{"*"}, "web", []string{"theirs"}, false},
		{"ours in its own namespace, theirs public", serviceEntryKind, "theirs", nil, "web", []string{"."}, true},
		{"ours in its own namespace, theirs in ours", serviceEntryKind, "theirs", []string{"ours"}, "web", []string{"."}, true},
		{"both of one namespace", serviceEntryKind, "ours", []string{"."}, "web", nil, true},
		{"short name of a Service that sees ours", serviceKind, "shop", nil, "web", []string{"shop"}, true},
		{"short name of a Service that does not see ours", serviceKind, "shop", nil, "web", []string{"bank"}, false},
		{"name with namespace of a Service", serviceKind, "shop", nil, "web.shop", []string{"bank"}, true},
		{"name of a Service, ours hidden", serviceKind, "shop", nil, "web.shop", []string{"~"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			foreign := Foreign{kind: c.kind, namespace: c.namespace, name: "web", exportTo: c.theirs}
			if got := foreign.affectsHost(c.host, visibility{"ours", c.ours}); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestAffectsAddress verifies that an address conflicts if a namespace sees both objects, including the foreign object's own.
func TestAffectsAddress(t *testing.T) {
	for _, c := range []struct {
		name         string
		kind         string
		theirs, ours []string
		want         bool
	}{
		{"both public", serviceEntryKind, nil, nil, true},
		{"theirs in its own namespace", serviceEntryKind, []string{"."}, nil, true},
		{"each in its own namespace", serviceEntryKind, []string{"."}, []string{"."}, false},
		{"both in theirs", serviceEntryKind, []string{"."}, []string{"theirs"}, true},
		{"theirs hidden", serviceEntryKind, []string{"~"}, nil, false},
		{"ours hidden", serviceEntryKind, nil, []string{"~"}, false},
		{"in different namespaces", serviceEntryKind, []string{"bank"}, []string{"shop"}, false},
		{"a Service", serviceKind, nil, []string{"bank"}, true},
		{"a Service, ours hidden", serviceKind, nil, []string{"~"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours := visibilityOf(mesh.Object{Namespace: "ours", Spec: &networking.ServiceEntry{ExportTo: c.ours}})
			foreign := Foreign{kind: c.kind, namespace: "theirs", exportTo: c.theirs}
			if got := foreign.affectsAddress(ours); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
