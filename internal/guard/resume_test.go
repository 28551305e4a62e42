package guard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// TestResume says what becomes of what a replica knows when it takes over from another one.
func TestResume(t *testing.T) {
	stands := func(from, to int) (services []catalog.Service) {
		for i := from; i < to; i++ {
			services = append(services, service(fmt.Sprint("s", i), "a", "b"))
		}
		return services
	}
	for name, c := range map[string]struct {
		before   string
		standing []catalog.Service
		hold     guard.Hold
		after    string
	}{
		"who knows the same changes nothing": {
			before: ten(), standing: stands(0, 10), after: `
			= s0 a b
			held
			s0
			= s0
			held`,
		},
		"what it never saw is missing, and held": {
			before: ten(), standing: stands(0, 25), after: `
			= s24 a b
			held 30/15
			s24 c
			= s24 b c
			held 29/14`,
		},
		"what left a moment ago leaves": {
			before: ten() + "s9\n= s9", standing: stands(0, 10), after: `
			= s9
			= s8 a b
			held`,
		},
		"what the other one holds is held": {
			before: ten() + "s0\n+61s\ns1\n+61s", standing: stands(0, 10),
			hold: guard.Hold{Since: start, Reason: "before", Instances: 4, Services: 2},
			after: `
			= s0 a b
			= s1 a b
			held 4/2`,
		},
		"what the other one let go is not": {
			before: ten() + "s0\ns1\nheld 4/2\n+61s", standing: stands(2, 10), after: `
			= s0
			= s1
			held`,
		},
		"what it holds, and the other one just let leave, comes back with a flood": {
			before: ten() + "s0 a b\ns9 c d\ns0\ns1\nheld 4/2", standing: stands(2, 10), after: `
			= s0 a b
			= s1 a b
			held 4/2`,
		},
		"what it holds itself is judged anew, as the other one died before it said so": {
			before: ten() + "s0\ns1\nheld 4/2", standing: stands(0, 10), after: `
			= s0 a b
			= s1 a b
			held 4/2`,
		},
		"what went before in the same window comes back with a flood": {
			before: ten() + "s0\n= s0\n+10s", standing: stands(1, 10), after: `
			= s0
			held
			s1
			= s0 a b
			= s1 a b
			held 4/2`,
		},
		"what went in an earlier window doesn't": {
			before: ten() + "s0\n= s0\n+61s", standing: stands(1, 10), after: `
			s1
			= s0
			= s1
			held`,
		},
		"before everything is reported nothing leaves": {
			before: "s0 a", standing: stands(0, 10), after: `
			= s0 a b
			held
			sync
			= s0 a b
			held 19/9`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options())
			w.play(c.before)
			for _, s := range c.standing {
				w.take([]catalog.Service{s})
			}
			w.take(w.guard.Rebase(w.now, c.standing, c.hold))
			w.play(c.after)
			if hold, held := w.guard.Hold(); held && c.hold.Reason != "" && (hold.Reason != c.hold.Reason || !hold.Since.Equal(c.hold.Since)) {
				t.Errorf("the hold became another one: %v", hold)
			}
		})
	}
}

// TestResumeKeepsTheTime says that a hold of ours that goes on ends when it would have ended.
func TestResumeKeepsTheTime(t *testing.T) {
	o := options()
	o.ReleaseAfter = time.Hour
	w := newWorld(t, o)
	w.play(ten() + "s0\ns1\n+30m")
	var standing []catalog.Service
	for i := range 10 {
		standing = append(standing, service(fmt.Sprint("s", i), "a", "b"))
	}
	w.take(w.guard.Rebase(w.now, standing, guard.Hold{Since: start.Add(1000 * time.Hour)}))
	w.play("held 4/2\n+29m\nheld 4/2\n+1m\nheld")
}

// TestUselessButHealthy says that an instance that loses its address or its port is as lost as one that turns critical,
// and that what is held of it is all of what it was.
func TestUselessButHealthy(t *testing.T) {
	o := options()
	o.Serving = func(i catalog.Instance) bool { return i.Health == catalog.Passing && i.Port > 0 && i.Address != "" }
	w := newWorld(t, o)
	w.play(ten())
	for i := range 10 {
		s := service(fmt.Sprint("s", i), "a", "b")
		for n := range s.Instances {
			s.Instances[n].Address, s.Instances[n].Port = "", 0
		}
		for _, view := range w.guard.Report(w.now, s) {
			for _, instance := range view.Instances {
				if i > 0 && (instance.Address != instance.ID.ServiceID || instance.Port != 80) {
					t.Errorf("%s: kept at %q, port %d", view.Key, instance.Address, instance.Port)
				}
			}
		}
	}
	w.play("held 20/10" + strings.Repeat("\ns0 a b", 2) + "\nheld 18/9")
}

// TestResumeWhereSomethingIsHidden says that a report that may not show everything denies nothing of what stands.
func TestResumeWhereSomethingIsHidden(t *testing.T) {
	w := newWorld(t, options())
	w.play(ten() + "s0? a c\n= s0 a b c")
	standing := []catalog.Service{service("s0", "a", "x", "y")}
	for i := 1; i < 10; i++ {
		standing = append(standing, service(fmt.Sprint("s", i), "a", "b"))
	}
	w.take(w.guard.Rebase(w.now, standing, guard.Hold{}))
	w.play(`
		s0? a c
		= s0 a b c x y
		s0 a c
		= s0 a c
		held`)
}
