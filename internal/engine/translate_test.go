package engine

import (
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestPoison holds that a service which the translation panics at delays no other, that what stands of it in the mesh
// stays, and that what isn't known of it isn't taken for gone.
func TestPoison(t *testing.T) {
	good, poison, out := newFakeSource("consul"), newFakeSource("poison"), newFakeOutput()
	e := start(t, out, good, poison)
	right := meshOptions()
	wrong := right
	wrong.Registries = []mesh.Registry{{Source: "consul", Domain: "consul"}} // a source that isn't there is a mistake of ours

	good.report(reported("consul", "web", "1"))
	poison.report(reported("poison", "old", "1"))
	good.complete()
	poison.complete()
	eventually(t, []string{"old", "web"}, out.labels)
	e.SetRules(Rules{Mesh: wrong})
	poison.report(reported("poison", "new", "1"), reported("poison", "old", "1", "2"))
	good.report(reported("consul", "api", "1"))
	eventually(t, []string{"api", "old", "web"}, out.labels)
	known := func(label string) func() bool {
		return func() bool { return e.Desired(mesh.Name{Source: "poison", Label: label}).Authoritative }
	}
	eventually(t, false, known("new"))
	eventually(t, 1, func() int { return len(e.Desired(mesh.Name{Source: "poison", Label: "old"}).Objects) - 1 })

	poison.report(reported("poison", "new"), reported("poison", "old"))
	eventually(t, true, known("new"))
	eventually(t, []string{"api", "web"}, out.labels)

	poison.report(reported("poison", "late", "1"))
	eventually(t, false, known("late"))
	e.SetRules(Rules{Mesh: right})
	eventually(t, []string{"api", "late", "web"}, out.labels)
}
