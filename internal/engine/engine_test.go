package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestAddAndRemove verifies that added services reach the output and that removed ones leave it.
func TestAddAndRemove(t *testing.T) {
	source, out := newFakeSource("consul"), newFakeOutput()
	start(t, out, source)
	source.report(reported("consul", "a", "1"), reported("consul", "b", "1"))
	eventually(t, []string{"a", "b"}, out.labels)
	source.report(reported("consul", "a"))
	eventually(t, []string{"b"}, out.labels)
}

// TestUnchangedServicesAreNotWritten verifies that a report without a change causes no notification.
func TestUnchangedServicesAreNotWritten(t *testing.T) {
	source, out := newFakeSource("consul"), newFakeOutput()
	start(t, out, source)
	source.report(reported("consul", "a", "1"))
	eventually(t, 1, out.count)
	source.report(reported("consul", "a", "1"))
	source.report(reported("consul", "unknown"))
	source.report(reported("consul", "b", "1"))
	eventually(t, []string{"a", "b"}, out.labels)
	if got := out.count(); got != 2 {
		t.Errorf("%d writes for two services, want 2", got)
	}
}

// TestBurst verifies that the mailbox combines unread reports of a service: the newest content with the time of the first
// report.
func TestBurst(t *testing.T) {
	box := newMailbox()
	first := time.Unix(1, 0)
	for i := range 100 {
		box.Update(reported("consul", "a", fmt.Sprint(i)), first.Add(time.Duration(i)))
	}
	want := batch{updates: map[catalog.Key]update{
		{Source: "consul", Name: "a"}: {service: reported("consul", "a", "99"), observed: first},
	}}
	if diff := cmp.Diff(want, box.drain(), cmp.AllowUnexported(batch{}, update{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := box.drain(); len(got.updates) != 0 {
		t.Errorf("the mailbox is not empty after drain: %v", got)
	}
}

// TestCollision verifies that the first of several services that convert to one name has it, and that no service loses its
// name to another one.
func TestCollision(t *testing.T) {
	const hashed, other = "a-b--1c051b5d2c87c0bd12ed", "a-b--b3dcef570b2ec285440d"
	source, out := newFakeSource("consul"), newFakeOutput()
	e := start(t, out, source)
	source.report(reported("consul", "A_b", "1"))
	source.sync()
	eventually(t, true, e.Complete)
	eventually(t, []string{"a-b"}, out.labels)
	owner := func(label string) string {
		return mesh.RegisteredName(e.Desired(mesh.Name{Source: "consul", Label: label}).Objects)
	}
	source.report(reported("consul", "a.b", "1"))
	eventually(t, []string{"a-b", other}, out.labels)
	source.report(reported("consul", "a-b", "1"))
	eventually(t, 3, func() int { return len(out.labels()) })
	if owner("a-b") != "A_b" || owner(other) != "a.b" {
		t.Errorf("a-b belongs to %q, %s to %q", owner("a-b"), other, owner(other))
	}
	source.report(reported("consul", "A_b"))
	eventually(t, 2, func() int { return len(out.labels()) })
	if owner(other) != "a.b" {
		t.Errorf("%s belongs to %q", other, owner(other))
	}
	source.report(reported("consul", "A_b", "1"))
	eventually(t, "A_b", func() string { return owner("a-b") })
	if owner(hashed) != "" {
		t.Errorf("%s belongs to %q", hashed, owner(hashed))
	}
}

// TestAbsenceBeforeTheSync verifies that the absence of a service isn't authoritative until its source has synced, and never
// for a name of an unknown source.
func TestAbsenceBeforeTheSync(t *testing.T) {
	east, west, out := newFakeSource("east"), newFakeSource("west"), newFakeOutput()
	e := start(t, out, east, west)
	known := func(source string) func() bool {
		return func() bool { return e.Desired(mesh.Name{Source: source, Label: "x"}).Authoritative }
	}
	east.sync()
	eventually(t, true, known("east"))
	if known("west")() || known("other")() || e.Complete() || e.Ready() == nil {
		t.Error("absence is authoritative before the sync")
	}
	west.sync()
	eventually(t, true, e.Complete)
	if known("other")() {
		t.Error("absence is authoritative for an unknown source")
	}
}

// TestReadyWaitsForTheOutput verifies that the engine isn't ready until its output is.
func TestReadyWaitsForTheOutput(t *testing.T) {
	source, out := newFakeSource("consul"), newFakeOutput()
	out.err = errors.New("not yet")
	e := start(t, out, source)
	source.sync()
	eventually(t, "not yet", func() string { return fmt.Sprint(e.Ready()) })
	out.mu.Lock()
	out.err = nil
	out.mu.Unlock()
	if err := e.Ready(); err != nil {
		t.Error(err)
	}
}

// TestWritten verifies that Written returns the time of the first unwritten change, once.
func TestWritten(t *testing.T) {
	e := New(Options{
		Rules: Rules{Mesh: meshOptions()}, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()),
	}, nil, nil)
	name, first := mesh.Name{Source: "consul", Label: "a"}, time.Unix(100, 0)
	for i, ids := range [][]string{{"1"}, {"1", "2"}} {
		e.applyService(reported("consul", "a", ids...), first.Add(time.Duration(i)*time.Second))
	}
	revision := e.Desired(name).Revision
	if got := e.Written(name, revision-1); !got.IsZero() {
		t.Errorf("an old revision was pending since %v", got)
	}
	if got := e.Written(name, revision); !got.Equal(first) {
		t.Errorf("pending since %v, want %v", got, first)
	}
	if got := e.Written(name, revision); !got.IsZero() {
		t.Errorf("returned twice: %v", got)
	}
}
