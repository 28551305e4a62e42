package guard_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

func TestReleaseAfter(t *testing.T) {
	o := options()
	o.ReleaseAfter = time.Hour
	w := newScenario(t, o)
	w.run(ten() + "s0\ns1\nheld 4/2")
	if _, next := w.guard.Tick(w.now); !next.Equal(start.Add(time.Hour)) {
		t.Errorf("the next tick is at %s", next)
	}
	w.run(`
		+59m
		held 4/2
		+1m
		held
		= s0`)
}

func TestReason(t *testing.T) {
	w := newScenario(t, options())
	w.run(ten() + "s0\n+1s\ns1")
	hold, _ := w.guard.Hold()
	want := guard.Hold{
		Since: start.Add(time.Second), Services: 2, Instances: 4, Removals: 1,
		Reason: "4 of 20 instances removed within 1m, 2 of 10 services with all instances",
	}
	if diff := cmp.Diff(want, hold); diff != "" {
		t.Error(diff)
	}
}

func TestDisabled(t *testing.T) {
	o := options()
	o.Window = 0
	w := newScenario(t, o)
	w.run(strings.TrimSuffix(ten(), "sync\n") + `
		s0 a
		= s0 a
		sync
		s1
		s2
		s3
		= s1
		= s3
		held`)
}

// TestSetOptions verifies that new options apply to later reports, and that of all options only disabling the guard ends a
// hold.
func TestSetOptions(t *testing.T) {
	w := newScenario(t, options())
	w.run(ten() + "s0\ns1\nheld 4/2")
	loose := options()
	loose.FewServices, loose.FewInstances = 5, 50
	w.take(w.guard.SetOptions(loose))
	w.run("held 4/2\nrelease\ns2\ns3\ns4\n= s2\nheld")
	w.take(w.guard.SetOptions(options()))
	w.run("s5\n= s5\ns6\nheld 4/2")
	off := options()
	off.Window = 0
	w.take(w.guard.SetOptions(off))
	w.run("held\n= s5\n= s6")
}

// TestReleaseAfterARestart verifies that ReleaseAfter counts from the sync, and not from the start of the restored hold,
// which may come from a wrong clock or another machine.
func TestReleaseAfterARestart(t *testing.T) {
	for _, wrong := range []time.Duration{-1000 * time.Hour, 1000 * time.Hour} {
		o := options()
		o.ReleaseAfter = time.Hour
		w := newScenario(t, o)
		w.guard.Restore([]catalog.Service{service("s0", "a"), service("s1", "a"), service("s2", "a")}, guard.Hold{Since: start.Add(wrong)})
		w.run(`
			s2 a
			sync
			held 2/2
			+59m
			held 2/2
			+1m
			held`)
	}
}

// TestRecoveredAfterARestart verifies the same for the window after which a small rest is applied.
func TestRecoveredAfterARestart(t *testing.T) {
	for _, wrong := range []time.Duration{-1000 * time.Hour, 1000 * time.Hour} {
		w := newScenario(t, options())
		w.guard.Restore([]catalog.Service{service("s0", "a"), service("s1", "a"), service("s2", "a")}, guard.Hold{Since: start.Add(wrong)})
		w.run(`
			s1 a
			s2 a
			sync
			+59s
			held 1/1
			+1s
			held`)
	}
}

// TestDisabledBeforeTheSync verifies that disabling the guard before the sync also ends a restored hold.
func TestDisabledBeforeTheSync(t *testing.T) {
	w := newScenario(t, options())
	w.guard.Restore([]catalog.Service{service("s0", "a"), service("s1", "a"), service("s2", "a")}, guard.Hold{Since: start})
	off := options()
	off.Window = 0
	w.take(w.guard.SetOptions(off))
	w.run("held\ns2 a\nsync\n= s0\n= s2 a\nheld")
}
