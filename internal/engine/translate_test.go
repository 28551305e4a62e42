package engine

import (
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestUntranslatableService verifies that a panic during the translation of a service doesn't affect other services, that the
// desired objects of the service stay, and that its absence isn't authoritative.
func TestUntranslatableService(t *testing.T) {
	good, broken, out := newFakeSource("consul"), newFakeSource("broken"), newFakeOutput()
	e := start(t, out, good, broken)
	right := meshOptions()
	wrong := right
	wrong.Registries = []mesh.Registry{{Source: "consul", Domain: "consul"}} // an unknown source causes a panic

	good.report(reported("consul", "web", "1"))
	broken.report(reported("broken", "old", "1"))
	good.sync()
	broken.sync()
	eventually(t, []string{"old", "web"}, out.labels)
	e.SetRules(Rules{Mesh: wrong})
	broken.report(reported("broken", "new", "1"), reported("broken", "old", "1", "2"))
	good.report(reported("consul", "api", "1"))
	eventually(t, []string{"api", "old", "web"}, out.labels)
	known := func(label string) func() bool {
		return func() bool { return e.Desired(mesh.Name{Source: "broken", Label: label}).Authoritative }
	}
	eventually(t, false, known("new"))
	eventually(t, 1, func() int { return len(e.Desired(mesh.Name{Source: "broken", Label: "old"}).Objects) - 1 })

	broken.report(reported("broken", "new"), reported("broken", "old"))
	eventually(t, true, known("new"))
	eventually(t, []string{"api", "web"}, out.labels)

	broken.report(reported("broken", "late", "1"))
	eventually(t, false, known("late"))
	e.SetRules(Rules{Mesh: right})
	eventually(t, []string{"api", "late", "web"}, out.labels)
}
