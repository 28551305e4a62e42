package guard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// TestRebase verifies how a replica combines its own state with that of the mesh when it takes over.
func TestRebase(t *testing.T) {
	live := func(from, to int) (services []catalog.Service) {
		for i := from; i < to; i++ {
			services = append(services, service(fmt.Sprint("s", i), "a", "b"))
		}
		return services
	}
	for name, c := range map[string]struct {
		before string
		live   []catalog.Service
		hold   guard.Hold
		after  string
	}{
		"the same state changes nothing": {
			before: ten(), live: live(0, 10), after: `
			= s0 a b
			held
			s0
			= s0
			held`,
		},
		"services that this replica never saw are missing and held": {
			before: ten(), live: live(0, 25), after: `
			= s24 a b
			held 30/15
			s24 c
			= s24 b c
			held 29/14`,
		},
		"a service that left recently is removed": {
			before: ten() + "s9\n= s9", live: live(0, 10), after: `
			= s9
			= s8 a b
			held`,
		},
		"removals held by the other replica stay held": {
			before: ten() + "s0\n+61s\ns1\n+61s", live: live(0, 10),
			hold: guard.Hold{Since: start, Reason: "before", Instances: 4, Services: 2},
			after: `
			= s0 a b
			= s1 a b
			held 4/2`,
		},
		"removals released by the other replica are applied": {
			before: ten() + "s0\ns1\nheld 4/2\n+61s", live: live(2, 10), after: `
			= s0
			= s1
			held`,
		},
		"removals held here and applied by the other replica within the window are held again": {
			before: ten() + "s0 a b\ns9 c d\ns0\ns1\nheld 4/2", live: live(2, 10), after: `
			= s0 a b
			= s1 a b
			held 4/2`,
		},
		"removals held here are held again if the other replica did not apply them": {
			before: ten() + "s0\ns1\nheld 4/2", live: live(0, 10), after: `
			= s0 a b
			= s1 a b
			held 4/2`,
		},
		"an earlier removal of the window is restored by a mass removal": {
			before: ten() + "s0\n= s0\n+10s", live: live(1, 10), after: `
			= s0
			held
			s1
			= s0 a b
			= s1 a b
			held 4/2`,
		},
		"a removal of an earlier window is not restored": {
			before: ten() + "s0\n= s0\n+61s", live: live(1, 10), after: `
			s1
			= s0
			= s1
			held`,
		},
		"no removal is applied before the sync": {
			before: "s0 a", live: live(0, 10), after: `
			= s0 a b
			held
			sync
			= s0 a b
			held 19/9`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newScenario(t, options())
			w.run(c.before)
			for _, s := range c.live {
				w.take([]catalog.Service{s})
			}
			w.take(w.guard.Rebase(w.now, c.live, c.hold))
			w.run(c.after)
			if hold, held := w.guard.Hold(); held && c.hold.Reason != "" && (hold.Reason != c.hold.Reason || !hold.Since.Equal(c.hold.Since)) {
				t.Errorf("the hold was replaced: %v", hold)
			}
		})
	}
}

// TestRebaseKeepsTheTime verifies that a hold of this replica ends at the same time as without the takeover.
func TestRebaseKeepsTheTime(t *testing.T) {
	o := options()
	o.ReleaseAfter = time.Hour
	w := newScenario(t, o)
	w.run(ten() + "s0\ns1\n+30m")
	var live []catalog.Service
	for i := range 10 {
		live = append(live, service(fmt.Sprint("s", i), "a", "b"))
	}
	w.take(w.guard.Rebase(w.now, live, guard.Hold{Since: start.Add(1000 * time.Hour)}))
	w.run("held 4/2\n+29m\nheld 4/2\n+1m\nheld")
}

// TestUnreachableInstances verifies that an instance that loses its address or port is a loss, and that the mesh keeps it
// with its earlier address and port.
func TestUnreachableInstances(t *testing.T) {
	o := options()
	o.Serving = func(i catalog.Instance) bool { return i.Health == catalog.Passing && i.Port > 0 && i.Address != "" }
	w := newScenario(t, o)
	w.run(ten())
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
	w.run("held 20/10" + strings.Repeat("\ns0 a b", 2) + "\nheld 18/9")
}

// TestRebaseWithPartialReports verifies that a partial report doesn't remove live instances that it may hide.
func TestRebaseWithPartialReports(t *testing.T) {
	w := newScenario(t, options())
	w.run(ten() + "s0? a c\n= s0 a b c")
	live := []catalog.Service{service("s0", "a", "x", "y")}
	for i := 1; i < 10; i++ {
		live = append(live, service(fmt.Sprint("s", i), "a", "b"))
	}
	w.take(w.guard.Rebase(w.now, live, guard.Hold{}))
	w.run(`
		s0? a c
		= s0 a b c x y
		s0 a c
		= s0 a c
		held`)
}
