package engine

import (
	"fmt"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestWhatIsHiddenStays holds that what a registry hides at a start stays as it was remembered, whichever way that is, and
// that what is really gone leaves once the registry shows everything.
func TestWhatIsHiddenStays(t *testing.T) {
	for _, partial := range []bool{false, true} {
		t.Run(fmt.Sprintf("partial=%v", partial), func(t *testing.T) {
			store := newFakeStore()
			first, out := newFakeSource("consul"), newFakeOutput()
			_, stop := startStoppable(t, guarded(store), out, first)
			names := fleet(first)
			eventually(t, names, out.labels)
			stop()

			store.partial = partial
			// An entry without endpoints stands too, though nothing can be recalled of it.
			empty := mesh.Name{Source: "consul", Label: "empty"}
			resources, _ := mesh.Translate(reported("consul", "empty", "1"), empty, meshOptions())
			standing, entries := liveStore{store, map[mesh.Name][]mesh.Object{}}, []string{}
			if partial {
				standing.standing[empty], entries = resources.Objects[:1], []string{"empty"}
			}
			source, out := newFakeSource("consul"), newFakeOutput()
			e := startWith(t, guarded(standing), out, source)
			hidden := reported("consul", "s1", "3")
			hidden.Partial = true
			source.report(reported("consul", "s0", "1"), hidden)
			source.completePartly()
			eventually(t, append(entries, names...), out.labels)
			eventually(t, true, e.Complete)
			for label, want := range map[string]int{"s0": 1, "s1": 3, "s2": 2} {
				desired := func() contract.Desired { return e.Desired(mesh.Name{Source: "consul", Label: label}) }
				eventually(t, want, func() int { return len(desired().Objects) - 1 })
				eventually(t, true, func() bool { return desired().Authoritative })
			}
			if e.Desired(empty).Authoritative == partial {
				t.Error("what stands and may be hidden counts as known")
			}
			want := []SourceStatus{{Name: "consul", LastKnownGood: true}}
			if diff := cmp.Diff(want, e.Status(), cmpopts.IgnoreFields(SourceStatus{}, "LastChange", "Age")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}

			source.report(reported("consul", "s1", "3")) // now all of it may be read
			eventually(t, 2, func() int { return len(e.Desired(mesh.Name{Source: "consul", Label: "s1"}).Objects) })
			for _, name := range names[2:] {
				if name != "s5" {
					source.report(reported("consul", name, "1", "2"))
				}
			}
			source.complete()
			eventually(t, append([]string{"s0", "s1", "s2", "s3", "s4"}, names[6:]...), out.labels)
			eventually(t, []SourceStatus{{Name: "consul", Complete: true}}, e.Status)
		})
	}
}
