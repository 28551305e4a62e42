package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestMerge holds that merged sources make one service of one name, that each takes only its own instances away, and
// that it is said which of them have not reported yet.
func TestMerge(t *testing.T) {
	e := idleEngine(map[string]string{"west": "west", "east": "west"})
	web := mesh.Name{Source: "west", Label: "web"}
	expect := func(known bool, waiting []string, owners ...string) {
		t.Helper()
		desired := e.Desired(web)
		var got []string
		for _, object := range desired.Objects {
			if object.Kind == mesh.WorkloadEntryKind {
				got = append(got, object.Annotations[mesh.SourceAnnotation])
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(owners, got); diff != "" || desired.Authoritative != known {
			t.Errorf("known: %v, instances of (-want +got):\n%s", desired.Authoritative, diff)
		}
		if diff := cmp.Diff(waiting, desired.PendingSources); diff != "" {
			t.Errorf("waiting for (-want +got):\n%s", diff)
		}
	}
	expect(false, nil)
	e.handle(oneUpdate(reported("west", "web", "1")))
	expect(true, []string{"east", "west"}, "west")
	e.handleSynced("west", true)
	expect(true, []string{"east"}, "west")
	e.handle(oneUpdate(reported("west", "web")))
	expect(false, nil) // east may have some
	e.handle(oneUpdate(reported("east", "web", "1")))
	e.handle(oneUpdate(reported("west", "web", "1", "2")))
	e.handleSynced("east", true)
	// Both report the instance with the ID "1" of one datacenter: it is there once.
	expect(true, []string{}, "east", "west")
	e.handle(oneUpdate(reported("east", "web")))
	expect(true, []string{}, "west", "west")
	e.handle(oneUpdate(reported("west", "web")))
	expect(true, nil)
	if other := e.Desired(mesh.Name{Source: "alone", Label: "web"}); other.Authoritative {
		t.Error("a source that has not reported is taken for empty")
	}
	if len(e.merger.parts) != 0 || len(e.services) != 0 || len(e.byName) != 0 {
		t.Errorf("state of removed services is kept: %v %v %v", e.merger.parts, e.services, e.byName)
	}
	for _, s := range e.sources {
		if len(s.instances) != 0 {
			t.Errorf("instances of removed services of %s are counted: %v", s.name, s.instances)
		}
	}
}

// TestMergedMembers holds that what was written for a member of a group before it was merged is known to be gone only
// when the whole group has reported.
func TestMergedMembers(t *testing.T) {
	e := idleEngine(map[string]string{"west": "west", "east": "west"})
	e.sourceOf("east").phase = complete
	old := mesh.Name{Source: "east", Label: "web"}
	if e.Desired(old).Authoritative {
		t.Error("it is known to be gone before its group has reported")
	}
	e.handleSynced("west", true)
	if !e.Desired(old).Authoritative {
		t.Error("it is not known to be gone")
	}
	if e.Desired(mesh.Name{Source: "stranger", Label: "web"}).Authoritative {
		t.Error("a source that there isn't is known")
	}
}

// TestSettled holds that what a service is called is settled once the sources that it may be of are known, whatever isn't
// known of others.
func TestSettled(t *testing.T) {
	e := idleEngine(map[string]string{"west": "west", "east": "west"})
	web, other := mesh.Name{Source: "west", Label: "web"}, mesh.Name{Source: "alone", Label: "web"}
	expect := func(settled, otherSettled bool) {
		t.Helper()
		if got, gotOther := e.Desired(web).Stable, e.Desired(other).Stable; got != settled || gotOther != otherSettled {
			t.Errorf("settled %v and %v, want %v and %v", got, gotOther, settled, otherSettled)
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
