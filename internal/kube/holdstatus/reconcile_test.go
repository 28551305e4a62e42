package holdstatus

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/guard"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func holdAt(at time.Time, reason string) map[string]guard.Hold {
	return map[string]guard.Hold{"consul": {Since: at, Reason: reason}}
}

func newReconciler() *Reconciler {
	r := New(Options{Sources: []string{"consul", "east"}, Log: slog.New(slog.DiscardHandler)})
	r.startTerm(context.Background())
	return r
}

// TestNext verifies the status that a leader publishes.
func TestNext(t *testing.T) {
	later := start.Add(time.Second)
	for _, c := range []struct {
		name      string
		published map[string]guard.Hold
		holds     map[string]guard.Hold
		released  map[string]int
		requested []string
		want      Status
	}{
		{name: "nothing", want: Status{Releases: map[string]int{}}},
		{
			name: "a new hold", holds: holdAt(start, "ours"),
			want: Status{Holds: holdAt(start, "ours"), Releases: map[string]int{}},
		},
		{
			name: "a hold that another replica detected first", published: holdAt(start, "theirs"), holds: holdAt(later, "ours"),
			want: Status{Holds: holdAt(start, "theirs"), Releases: map[string]int{}},
		},
		{
			name: "a hold that another replica detected later", published: holdAt(later, "theirs"), holds: holdAt(start, "ours"),
			want: Status{Holds: holdAt(later, "theirs"), Releases: map[string]int{}},
		},
		{
			name: "a hold that has ended", published: holdAt(start, "theirs"), holds: map[string]guard.Hold{},
			want: Status{Holds: map[string]guard.Hold{}, Releases: map[string]int{}},
		},
		{
			name: "a release that was requested", holds: map[string]guard.Hold{}, requested: []string{"consul"},
			want: Status{Holds: map[string]guard.Hold{}, Releases: map[string]int{"consul": 1}},
		},
		{
			name: "counts survive the deletion of the ConfigMap", released: map[string]int{"consul": 2, "east": 1}, requested: []string{"east"},
			want: Status{Releases: map[string]int{"consul": 2, "east": 2}},
		},
		{
			name: "counts of removed sources are dropped", released: map[string]int{"west": 2},
			want: Status{Releases: map[string]int{}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReconciler()
			r.released = c.released
			published := Status{Holds: c.published}
			r.correlate(published, c.holds)
			if diff := cmp.Diff(c.want, r.next(published, c.holds, c.requested)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestNextHold verifies that a hold that began after the published one ended is published as a new one.
func TestNextHold(t *testing.T) {
	r := newReconciler()
	published := Status{Holds: holdAt(start, "first")}
	r.correlate(published, holdAt(start, "first"))
	second := holdAt(start.Add(time.Hour), "second")
	r.correlate(published, second)
	if diff := cmp.Diff(second, r.next(published, second, nil).Holds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestReleases verifies which holds are released for requests and for releases of other replicas. Each case is a sequence
// of contents of the ConfigMap and of holds in force.
func TestReleases(t *testing.T) {
	type step struct {
		releases  int
		requested bool
		holds     map[string]guard.Hold
	}
	held, later := holdAt(start, "first"), holdAt(start.Add(time.Hour), "second")
	marked := map[string]guard.Hold{"consul": {Since: start, Released: true}}
	for _, c := range []struct {
		name  string
		steps []step
		// released has the number of releases after each step.
		released []int
		// waiting reports for each step whether the release is still to be done.
		waiting []bool
	}{
		{"no request", []step{{holds: held}}, []int{0}, []bool{false}},
		{"a request", []step{{requested: true, holds: held}}, []int{1}, []bool{true}},
		{"a request is released once", []step{{requested: true, holds: held}, {requested: true, holds: held}}, []int{1, 1}, []bool{true, true}},
		{"a request without a hold", []step{{requested: true}}, []int{0}, []bool{false}},
		{"a hold that is released already", []step{{requested: true, holds: marked}}, []int{0}, []bool{false}},
		{"a later hold needs a new request", []step{{requested: true, holds: held}, {requested: true, holds: later}}, []int{1, 1}, []bool{true, false}},
		{
			"a new request for a later hold",
			[]step{{requested: true, holds: held}, {holds: later}, {requested: true, holds: later}},
			[]int{1, 1, 2},
			[]bool{true, false, true},
		},
		{"a release of another replica", []step{{releases: 1, holds: held}}, []int{1}, []bool{true}},
		{"a release of another replica counts once", []step{{releases: 1, holds: held}, {releases: 1, holds: later}}, []int{1, 1}, []bool{true, false}},
		{"a release of another replica for our own request", []step{{requested: true, holds: held}, {releases: 1, holds: held}}, []int{1, 1}, []bool{true, false}},
		{"a release of another replica without a hold", []step{{releases: 1}, {releases: 1, holds: held}}, []int{0, 0}, []bool{false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReconciler()
			var released []string
			release := func(source string) { released = append(released, source) }
			var counts []int
			var waiting []bool
			for _, s := range c.steps {
				status := Status{Releases: map[string]int{}}
				if s.releases > 0 {
					status.Releases["consul"] = s.releases
				}
				var requested []string
				if s.requested {
					requested = []string{"consul"}
				}
				remote := r.applyRemoteReleases(status, s.holds, release)
				local := r.applyRequests(requested, s.holds, release)
				counts, waiting = append(counts, len(released)), append(waiting, remote || local)
			}
			if !slices.Equal(counts, c.released) || !slices.Equal(waiting, c.waiting) {
				t.Errorf("releases %v, want %v; waiting %v, want %v", counts, c.released, waiting, c.waiting)
			}
		})
	}
}
