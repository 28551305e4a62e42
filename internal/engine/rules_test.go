package engine

import (
	"fmt"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestNewOptions holds that new rules reach every service, that only those which come out different are written, and
// that what comes later is translated by them.
func TestNewOptions(t *testing.T) {
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
