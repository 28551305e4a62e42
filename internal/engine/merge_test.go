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
	b := quietBridge(map[string]string{"west": "west", "east": "west"})
	web := mesh.Name{Source: "west", Label: "web"}
	expect := func(known bool, waiting []string, owners ...string) {
		t.Helper()
		desired := b.Desired(web)
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
	b.take(oneUpdate(reported("west", "web", "1")))
	expect(true, []string{"east", "west"}, "west")
	b.takeSynced("west", true)
	expect(true, []string{"east"}, "west")
	b.take(oneUpdate(reported("west", "web")))
	expect(false, nil) // east may have some
	b.take(oneUpdate(reported("east", "web", "1")))
	b.take(oneUpdate(reported("west", "web", "1", "2")))
	b.takeSynced("east", true)
	// Both report the instance with the ID "1" of one datacenter: it is there once.
	expect(true, []string{}, "east", "west")
	b.take(oneUpdate(reported("east", "web")))
	expect(true, []string{}, "west", "west")
	b.take(oneUpdate(reported("west", "web")))
	expect(true, nil)
	if other := b.Desired(mesh.Name{Source: "alone", Label: "web"}); other.Authoritative {
		t.Error("a source that has not reported is taken for empty")
	}
	if len(b.merger.parts) != 0 || len(b.reported) != 0 {
		t.Errorf("left over: %v %v", b.merger.parts, b.reported)
	}
}

// TestMergedMembers holds that what was written for a member of a group before it was merged is known to be gone only
// when the whole group has reported.
func TestMergedMembers(t *testing.T) {
	b := quietBridge(map[string]string{"west": "west", "east": "west"})
	b.synced = map[string]bool{"west": false, "east": true}
	old := mesh.Name{Source: "east", Label: "web"}
	if b.Desired(old).Authoritative {
		t.Error("it is known to be gone before its group has reported")
	}
	b.takeSynced("west", true)
	if !b.Desired(old).Authoritative {
		t.Error("it is not known to be gone")
	}
	if b.Desired(mesh.Name{Source: "stranger", Label: "web"}).Authoritative {
		t.Error("a source that there isn't is known")
	}
}

// TestSettled holds that what a service is called is settled once the sources that it may be of are known, whatever isn't
// known of others.
func TestSettled(t *testing.T) {
	b := quietBridge(map[string]string{"west": "west", "east": "west"})
	web, other := mesh.Name{Source: "west", Label: "web"}, mesh.Name{Source: "alone", Label: "web"}
	expect := func(settled, otherSettled bool) {
		t.Helper()
		if got, gotOther := b.Desired(web).Stable, b.Desired(other).Stable; got != settled || gotOther != otherSettled {
			t.Errorf("settled %v and %v, want %v and %v", got, gotOther, settled, otherSettled)
		}
	}
	b.take(oneUpdate(reported("west", "web", "1")))
	b.take(oneUpdate(reported("alone", "web", "1")))
	expect(false, false)
	b.takeSynced("alone", true)
	expect(false, true)
	b.takeSynced("west", true)
	expect(false, true)
	b.recalled["east"] = time.Unix(1, 0)
	expect(true, true)
	delete(b.recalled, "east")
	b.takeSynced("east", true)
	expect(true, true)
}
