package guard_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

func TestRecall(t *testing.T) {
	recalled := func() (services []catalog.Service) {
		for i := range 10 {
			services = append(services, service(fmt.Sprintf("s%d", i), "a", "b"))
		}
		return services
	}
	all := strings.TrimSuffix(ten(), "sync\n")
	for name, c := range map[string]struct {
		hold   guard.Hold
		script string
	}{
		"nothing leaves before everything is reported": {script: `
			s0 a
			= s0 a b
			s1 a- b-
			= s1 a b
			held`},
		"a difference that is small is believed": {script: all + `
			s0 a
			sync
			= s0 a
			held`},
		"a registry that came back empty is held": {script: `
			sync
			= s0 a b
			= s9 a b
			held 20/10`},
		"what was replaced meanwhile isn't missing": {script: strings.ReplaceAll(all, "a b", "c d") + `
			sync
			= s0 c d
			held`},
		"a hold outlives a restart, though what is missing is little by now": {
			hold: guard.Hold{Since: start, Reason: "before"},
			script: all + `
			s0
			s1 a
			sync
			= s0 a b
			= s1 a
			held 2/1`,
		},
		"one of everything too": {
			hold: guard.Hold{Since: start, Reason: "before", All: true},
			script: all + `
			s0
			s1 a
			sync
			= s0 a b
			= s1 a b
			held 3/1`,
		},
		"unless nothing is missing": {
			hold: guard.Hold{Since: start, Reason: "before"},
			script: all + `
			sync
			held`,
		},
		"what is hidden stays, until everything is shown": {script: `
			s0? a
			s1? c
			s2 a
			sync?
			= s0 a b
			= s1 a b c
			= s2 a
			= s3 a b
			held
			+1h
			s0
			= s0
			s1? a c
			= s1 a b c
			s1 c
			= s1 c
			= s3 a b
			held`},
		"what is gone behind that goes then": {script: strings.NewReplacer("s3 a b\n", "", "s4 a", "s4? a").Replace(all) + `
			sync?
			= s3 a b
			sync?
			= s3 a b
			sync
			= s3
			= s4 a b
			held
			sync
			s4 a
			= s4 a`},
		"unless it is a flood": {script: `
			s0 a b
			s1? a b
			sync?
			= s9 a b
			held
			sync
			= s1 a b
			= s9 a b
			held 16/8`},
		"a hold of what is hidden waits for it": {
			hold: guard.Hold{Since: start, Reason: "before"},
			script: strings.Replace(all, "s0 a b\n", "", 1) + `
			sync?
			held 0/0
			+1h
			s1 a b c
			held 0/0
			sync
			= s0 a b
			held 2/1`,
		},
		"and ends once all is shown": {
			hold: guard.Hold{Since: start, Reason: "before"},
			script: strings.Replace(all, "s0 a b\n", "s0? a\n", 1) + `
			sync
			held 0/0
			s0 a b
			held`,
		},
		"a release before the registry was read lets go what was held, once it is": {
			hold: guard.Hold{Since: start, Reason: "before", Instances: 4, Services: 2},
			script: all + `
			s0
			s1
			release
			= s0 a b
			held 4/2
			sync
			= s0
			= s1
			= s2 a b
			held`,
		},
		"and a single one more": {
			hold: guard.Hold{Since: start, Reason: "before", Instances: 4, Services: 2, Released: true},
			script: all + `
			s0
			s1
			s2
			sync
			= s0
			= s2
			held`,
		},
		"but not what nobody knew of": {
			hold: guard.Hold{Since: start, Reason: "before", Instances: 4, Services: 2},
			script: `
			release
			sync
			= s0 a b
			held 20/10`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options())
			w.guard.Restore(recalled(), c.hold)
			w.take(recalled())
			w.play(c.script)
		})
	}
}

// What stood in the mesh may tell only where an instance listens. It is the instance that is reported there.
func TestRecallByAddress(t *testing.T) {
	known := service("s0", "a", "b", "c")
	for i := range known.Instances {
		known.Instances[i].ID = catalog.InstanceID{ServiceID: fmt.Sprint("recalled-", i)}
	}
	w := newWorld(t, options())
	w.guard.Restore([]catalog.Service{known}, guard.Hold{Since: start, All: true})
	w.play(`
		s0 a b
		= s0 recalled-2 a b
		sync
		held 1/0
		s0 a b c
		= s0 a b c
		held`)
}

// TestRecalledAndGone holds that also a service without a serving instance is handed on when it turns out to be gone.
func TestRecalledAndGone(t *testing.T) {
	for _, window := range []time.Duration{0, time.Minute} {
		o := options()
		o.Window = window
		g := guard.New(o)
		g.Restore([]catalog.Service{service("ill", "a-"), service("well", "a")}, guard.Hold{Since: start})
		var gone []string
		for _, s := range g.Synced(start, true) {
			if len(s.Instances) == 0 {
				gone = append(gone, s.Name)
			}
		}
		want := []string{"ill"} // the hold of before keeps the other
		if window == 0 {
			want = []string{"ill", "well"}
		}
		if !slices.Equal(gone, want) {
			t.Errorf("window %s: %q are gone", window, gone)
		}
	}
}
