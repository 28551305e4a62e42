package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestMerge verifies that merged sources result in one service per name, that each source removes only its own instances,
// and that Desired lists the sources that have not synced.
func TestMerge(t *testing.T) {
	e := idleEngine(map[string]string{"west": "west", "east": "west"})
	web := mesh.Name{Source: "west", Label: "web"}
	expect := func(authoritative bool, pending []string, owners ...string) {
		t.Helper()
		desired := e.Desired(web)
		var got []string
		for _, object := range desired.Objects {
			if object.Kind == mesh.WorkloadEntryKind {
				got = append(got, object.Annotations[mesh.SourceAnnotation])
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(owners, got); diff != "" || desired.Authoritative != authoritative {
			t.Errorf("authoritative: %v, sources of instances (-want +got):\n%s", desired.Authoritative, diff)
		}
		if diff := cmp.Diff(pending, desired.PendingSources); diff != "" {
			t.Errorf("pending sources (-want +got):\n%s", diff)
		}
	}
	expect(false, nil)
	e.handle(oneUpdate(reported("west", "web", "1")))
	expect(true, []string{"east", "west"}, "west")
	e.handleSynced("west", true)
	expect(true, []string{"east"}, "west")
	e.handle(oneUpdate(reported("west", "web")))
	expect(false, nil) // east has not reported
	e.handle(oneUpdate(reported("east", "web", "1")))
	e.handle(oneUpdate(reported("west", "web", "1", "2")))
	e.handleSynced("east", true)
	// Both sources report instance "1" of one datacenter. It counts once.
	expect(true, []string{}, "east", "west")
	e.handle(oneUpdate(reported("east", "web")))
	expect(true, []string{}, "west", "west")
	e.handle(oneUpdate(reported("west", "web")))
	expect(true, nil)
	if other := e.Desired(mesh.Name{Source: "alone", Label: "web"}); other.Authoritative {
		t.Error("absence is authoritative although the source has not synced")
	}
	if len(e.merger.merged) != 0 || len(e.services) != 0 || len(e.byName) != 0 {
		t.Errorf("state of removed services is kept: %v %v %v", e.merger.merged, e.services, e.byName)
	}
	for _, s := range e.sources {
		if len(s.instances) != 0 {
			t.Errorf("instances of removed services of %s are counted: %v", s.name, s.instances)
		}
	}
}

// TestMergedMembers verifies that objects of a group's member, written before it was merged, are gone only when all members
// have synced.
func TestMergedMembers(t *testing.T) {
	e := idleEngine(map[string]string{"west": "west", "east": "west"})
	e.sourceOf("east").phase = complete
	old := mesh.Name{Source: "east", Label: "web"}
	if e.Desired(old).Authoritative {
		t.Error("absence is authoritative before all members have synced")
	}
	e.handleSynced("west", true)
	if !e.Desired(old).Authoritative {
		t.Error("absence is not authoritative after all members have synced")
	}
	if e.Desired(mesh.Name{Source: "stranger", Label: "web"}).Authoritative {
		t.Error("absence is authoritative for an unknown source")
	}
}

// TestStable verifies that the names of a service are stable once its own sources are known, independent of other sources.
func TestStable(t *testing.T) {
	e := idleEngine(map[string]string{"west": "west", "east": "west"})
	web, other := mesh.Name{Source: "west", Label: "web"}, mesh.Name{Source: "alone", Label: "web"}
	expect := func(stable, otherStable bool) {
		t.Helper()
		if got, gotOther := e.Desired(web).Stable, e.Desired(other).Stable; got != stable || gotOther != otherStable {
			t.Errorf("stable %v and %v, want %v and %v", got, gotOther, stable, otherStable)
		}
	}
	e.handle(oneUpdate(reported("west", "web", "1")))
	e.handle(oneUpdate(reported("alone", "web", "1")))
	expect(false, false)
	e.handleSynced("alone", true)
	expect(false, true)
	e.handleSynced("west", true)
	expect(false, true)
	e.sourceOf("east").restore(time.Unix(1, 0))
	expect(true, true)
	e.sourceOf("east").phase = unknown
	e.handleSynced("east", true)
	expect(true, true)
}
