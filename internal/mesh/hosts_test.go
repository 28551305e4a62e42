package mesh_test

import (
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestUnderDomain verifies that only whole labels match.
func TestUnderDomain(t *testing.T) {
	for _, test := range []struct {
		host, domain string
		want         bool
	}{
		{"cluster.local", "cluster.local", true},
		{"web.default.svc.cluster.local", "cluster.local", true},
		{"mycluster.local", "cluster.local", false},
		{"local", "cluster.local", false},
		{"web", "", false},
	} {
		if got := mesh.UnderDomain(test.host, test.domain); got != test.want {
			t.Errorf("%q under %q: %t", test.host, test.domain, got)
		}
	}
}
