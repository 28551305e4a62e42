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

func TestRestore(t *testing.T) {
	known := func() (services []catalog.Service) {
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
		"no removal is applied before the sync": {script: `
			s0 a
			= s0 a b
			s1 a- b-
			= s1 a b
			held`},
		"a small difference is applied": {script: all + `
			s0 a
			sync
			= s0 a
			held`},
		"the content of an empty registry is held": {script: `
			sync
			= s0 a b
			= s9 a b
			held 20/10`},
		"instances replaced while isthmus was not running aren't losses": {script: strings.ReplaceAll(all, "a b", "c d") + `
			sync
			= s0 c d
			held`},
		"restored instances that the source leaves out by now aren't losses": {script: strings.ReplaceAll(all, "a b", "a~ b~") + `
			= s0
			sync
			= s0
			= s9
			held`},
		"a hold survives a restart, although few losses remain": {
			hold: guard.Hold{Since: start, Reason: "before"},
			script: all + `
			s0
			s1 a
			sync
			= s0 a b
			= s1 a
			held 2/1`,
		},
		"a hold of all instances survives a restart": {
			hold: guard.Hold{Since: start, Reason: "before", All: true},
			script: all + `
			s0
			s1 a
			sync
			= s0 a b
			= s1 a b
			held 3/1`,
		},
		"a hold ends with the sync if nothing is missing": {
			hold: guard.Hold{Since: start, Reason: "before"},
			script: all + `
			sync
			held`,
		},
		"hidden instances stay until a full report": {script: `
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
		"removals that were hidden are applied after a complete sync": {script: strings.NewReplacer("s3 a b\n", "", "s4 a", "s4? a").Replace(all) + `
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
		"mass removals that were hidden are held after a complete sync": {script: `
			s0 a b
			s1? a b
			sync?
			= s9 a b
			held
			sync
			= s1 a b
			= s9 a b
			held 16/8`},
		"a restored hold stays active while services are hidden": {
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
		"a restored hold ends once a full report shows all instances": {
			hold: guard.Hold{Since: start, Reason: "before"},
			script: strings.Replace(all, "s0 a b\n", "s0? a\n", 1) + `
			sync
			held 0/0
			s0 a b
			held`,
		},
		"a release before the sync applies to the held instances after the sync": {
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
		"a release before the sync allows the usual losses as well": {
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
		"a release before the sync doesn't apply to further losses": {
			hold: guard.Hold{Since: start, Reason: "before", Instances: 4, Services: 2},
			script: `
			release
			sync
			= s0 a b
			held 20/10`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newScenario(t, options())
			w.guard.Restore(known(), c.hold)
			w.take(known())
			w.run(c.script)
		})
	}
}

// TestRestoreByAddress verifies that a restored instance without a node is identified by its address and port.
func TestRestoreByAddress(t *testing.T) {
	known := service("s0", "a", "b", "c")
	for i := range known.Instances {
		known.Instances[i].ID = catalog.InstanceID{ServiceID: fmt.Sprint("restored-", i)}
	}
	w := newScenario(t, options())
	w.guard.Restore([]catalog.Service{known}, guard.Hold{Since: start, All: true})
	w.run(`
		s0 a b
		= s0 restored-2 a b
		sync
		held 1/0
		s0 a b c
		= s0 a b c
		held`)
}

// TestRestoredAndGone verifies that Synced also returns a restored service that is gone and had no serving instance.
func TestRestoredAndGone(t *testing.T) {
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
		want := []string{"ill"} // the restored hold keeps the other one
		if window == 0 {
			want = []string{"ill", "well"}
		}
		if !slices.Equal(gone, want) {
			t.Errorf("window %s: gone services: %q", window, gone)
		}
	}
}
