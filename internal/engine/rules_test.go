package engine

import (
	"fmt"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestSetRules verifies that new rules apply to every known service and to later ones, and that only services whose objects
// differ are written.
func TestSetRules(t *testing.T) {
	source, out := newFakeSource("consul"), newFakeOutput()
	e := start(t, out, source)
	for i := range 5 {
		source.report(reported("consul", fmt.Sprint("s", i), "1"))
	}
	eventually(t, 5, out.count)
	options := meshOptions()
	e.SetRules(Rules{Mesh: options})
	options.Placement.Rules = []mesh.Rule{{Services: []string{"s1", "new"}, Namespace: "other"}}
	e.SetRules(Rules{Mesh: options})
	namespace := func(label string) func() string {
		return func() string {
			if desired := e.Desired(mesh.Name{Source: "consul", Label: label}); len(desired.Objects) > 0 {
				return desired.Objects[0].Namespace
			}
			return ""
		}
	}
	eventually(t, "other", namespace("s1"))
	eventually(t, "ns", namespace("s2"))
	source.report(reported("consul", "new", "1"))
	eventually(t, "other", namespace("new"))
	eventually(t, 7, out.count)
}
