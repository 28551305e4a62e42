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
	w := newWorld(t, o)
	w.play(ten() + "s0\ns1\nheld 4/2")
	if _, next := w.guard.Tick(w.now); !next.Equal(start.Add(time.Hour)) {
		t.Errorf("the guard wants to be asked at %s", next)
	}
	w.play(`
		+59m
		held 4/2
		+1m
		held
		= s0`)
}

func TestReason(t *testing.T) {
	w := newWorld(t, options())
	w.play(ten() + "s0\n+1s\ns1")
	hold, _ := w.guard.Hold()
	want := guard.Hold{
		Since: start.Add(time.Second), Services: 2, Instances: 4,
		Reason: "4 of 20 instances went within 1m, 2 of 10 services with all of theirs",
	}
	if diff := cmp.Diff(want, hold); diff != "" {
		t.Error(diff)
	}
}

func TestOff(t *testing.T) {
	o := options()
	o.Window = 0
	w := newWorld(t, o)
	w.play(strings.TrimSuffix(ten(), "sync\n") + `
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

// TestSetOptions says that new rules judge what comes, and that only switching the guard off ends a hold.
func TestSetOptions(t *testing.T) {
	w := newWorld(t, options())
	w.play(ten() + "s0\ns1\nheld 4/2")
	loose := options()
	loose.FewServices, loose.FewInstances = 5, 50
	w.take(w.guard.SetOptions(loose))
	w.play("held 4/2\nrelease\ns2\ns3\ns4\n= s2\nheld")
	w.take(w.guard.SetOptions(options()))
	w.play("s5\n= s5\ns6\nheld 4/2")
	off := options()
	off.Window = 0
	w.take(w.guard.SetOptions(off))
	w.play("held\n= s5\n= s6")
}

// TestReleaseAfterARestart says that the time that a recalled hold says it began, on a clock of another machine or of
// another day, decides nothing: what it may last is counted from when the registry was read.
func TestReleaseAfterARestart(t *testing.T) {
	for _, wrong := range []time.Duration{-1000 * time.Hour, 1000 * time.Hour} {
		o := options()
		o.ReleaseAfter = time.Hour
		w := newWorld(t, o)
		w.guard.Restore([]catalog.Service{service("s0", "a"), service("s1", "a"), service("s2", "a")}, guard.Hold{Since: start.Add(wrong)})
		w.play(`
			s2 a
			sync
			held 2/2
			+59m
			held 2/2
			+1m
			held`)
	}
}

// TestSubsidedAfterARestart says the same of a rest that is small.
func TestSubsidedAfterARestart(t *testing.T) {
	for _, wrong := range []time.Duration{-1000 * time.Hour, 1000 * time.Hour} {
		w := newWorld(t, options())
		w.guard.Restore([]catalog.Service{service("s0", "a"), service("s1", "a"), service("s2", "a")}, guard.Hold{Since: start.Add(wrong)})
		w.play(`
			s1 a
			s2 a
			sync
			+59s
			held 1/1
			+1s
			held`)
	}
}

// TestOffBeforeTheRegistryIsRead says that a guard that is switched off before then holds nothing, also not what was held.
func TestOffBeforeTheRegistryIsRead(t *testing.T) {
	w := newWorld(t, options())
	w.guard.Restore([]catalog.Service{service("s0", "a"), service("s1", "a"), service("s2", "a")}, guard.Hold{Since: start})
	off := options()
	off.Window = 0
	w.take(w.guard.SetOptions(off))
	w.play("held\ns2 a\nsync\n= s0\n= s2 a\nheld")
}
