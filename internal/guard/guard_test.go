package guard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// A step of a scenario is one of
//
//	web a b- c!   the registry reports web: a serves, b is critical, c is in maintenance; no instances: it is gone
//	+30s          time passes
//	sync          the registry has reported everything
//	release       an operator lets go
//	= web a b     the mesh holds web with a and b now; nothing behind the name: it doesn't hold web
//	held 3/2      3 instances and 2 services are held; "held" alone: nothing is
type world struct {
	t     *testing.T
	guard *guard.Guard
	now   time.Time
	mesh  map[string]string
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func options() guard.Options {
	return guard.Options{
		Window: time.Minute, Instances: 0.5, Services: 0.1, FewInstances: 3, FewServices: 1,
		Serving: func(i catalog.Instance) bool { return i.Health == catalog.Passing },
	}
}

func newWorld(t *testing.T, options guard.Options) *world {
	return &world{t: t, guard: guard.New(options), now: start, mesh: map[string]string{}}
}

func service(words ...string) catalog.Service {
	s := catalog.Service{Key: catalog.Key{Source: "dc1", Name: words[0]}}
	for _, word := range words[1:] {
		health := catalog.Passing
		switch {
		case strings.HasSuffix(word, "-"):
			health = catalog.Critical
		case strings.HasSuffix(word, "!"):
			health = catalog.Maintenance
		}
		name := strings.TrimRight(word, "-!")
		s.Instances = append(s.Instances, catalog.Instance{
			ID: catalog.InstanceID{Node: "n", ServiceID: name}, Address: name, Port: 80, Health: health,
		})
	}
	return s
}

// take brings what the guard hands on into the mesh, which holds what serves.
func (w *world) take(services []catalog.Service) {
	for _, s := range services {
		var names []string
		for _, i := range s.Instances {
			if i.Health == catalog.Passing {
				names = append(names, i.ID.ServiceID)
			}
		}
		w.mesh[s.Name] = strings.Join(names, " ")
	}
}

func (w *world) play(script string) {
	w.t.Helper()
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch {
		case line == "":
		case line[0] == '+':
			d, err := time.ParseDuration(line[1:])
			if err != nil {
				w.t.Fatal(err)
			}
			w.now = w.now.Add(d)
			released, _ := w.guard.Tick(w.now)
			w.take(released)
		case line == "sync":
			w.take(w.guard.Synced(w.now))
		case line == "release":
			w.take(w.guard.Release())
		case words[0] == "=":
			if got, want := w.mesh[words[1]], strings.Join(words[2:], " "); got != want {
				w.t.Errorf("%s: the mesh holds %q", line, got)
			}
		case words[0] == "held":
			hold, held := w.guard.Hold()
			got := "held"
			if held {
				got += fmt.Sprintf(" %d/%d", hold.Instances, hold.Services)
			}
			if got != line {
				w.t.Errorf("want %q, got %q (%s)", line, got, hold.Reason)
			}
		default:
			w.take(w.guard.Report(w.now, service(words...)))
		}
	}
}

// ten is a registry of ten services of two instances each.
func ten() string {
	var script strings.Builder
	for i := range 10 {
		fmt.Fprintf(&script, "s%d a b\n", i)
	}
	return script.String() + "sync\n"
}

func TestGuard(t *testing.T) {
	for name, script := range map[string]string{
		"single instances and services leave at once": ten() + `
			s0 a
			= s0 a
			s1
			= s1
			s2 a b-
			= s2 a
			held`,
		"many services at once are held, the first of them too": ten() + `
			s0
			= s0
			s1
			= s1 a b
			= s0 a b
			held 4/2
			s2
			= s2 a b
			held 6/3`,
		"so are services that turn critical": ten() + `
			s0 a- b-
			s1 a- b-
			= s0 a b
			= s1 a b
			held 4/2`,
		"half of all instances at once are held, though every service has others": ten() + `
			s0 a
			s1 a
			s2 a
			s3 a
			s4 a
			s5 a
			s6 a
			s7 a
			s8 a
			s9 a
			= s0 a
			held
			s0
			= s0 a b
			= s9 a b
			held 11/1`,
		"small steps are believed": ten() + `
			s0
			+61s
			s1
			+61s
			s2
			+61s
			s3
			+61s
			s4
			= s0
			= s4
			held`,
		"while something is held nothing else leaves, but additions and changes go on": ten() + `
			s0
			s1
			s2 a
			= s2 a b
			s3 a b c
			= s3 a b c
			new x
			= new x
			held 5/2`,
		"what comes back ends the hold": ten() + `
			s0
			s1
			held 4/2
			s0 a b
			held 2/1
			s1 b
			= s1 a b
			s1 a b
			= s1 a b
			held`,
		"an operator ends the hold": ten() + `
			s0
			s1
			s2 a- b
			release
			= s0
			= s1
			= s2 b
			held`,
		"a rest that is small is believed when nothing more comes back for a window": ten() + `
			s0
			s1
			s2
			+50s
			s0 a b
			+50s
			s1 a b
			+50s
			= s2 a b
			held 2/1
			+11s
			= s2
			held`,
		"time alone ends nothing": ten() + `
			s0
			s1
			+1000h
			= s0 a b
			held 4/2`,
		"a rolling change loses nothing": ten() + `
			s0 c d
			s1 a b c d
			s1 c d
			s2 b
			s2 b c
			s2 c
			s2 c d
			s3 c d
			s4 c d
			s5 c d
			s6 c d
			s7 c d
			s8 c d
			= s0 c d
			= s1 c d
			= s2 c d
			held`,
		"instances that come take the places of those that are held": ten() + `
			s0
			s1
			held 4/2
			s0 c
			= s0 b c
			s0 c d
			= s0 c d
			held 2/1`,
		"maintenance is an operator's word": ten() + `
			s0 a! b!
			s1 a! b!
			s2 a! b!
			= s0
			= s2
			held`,
		"also for what is held": ten() + `
			s0 a- b-
			s1 a- b-
			= s0 a b
			s0 a! b!
			= s0
			held 2/1`,
		"critical first, gone later, is one loss": ten() + `
			s0 a- b-
			s1 a- b-
			s0
			= s0 a b
			held 4/2`,
		"few may go whatever share they are": `
			s0 a b
			sync
			s0
			= s0
			held`,
		"all of a small registry is held": `
			s0 a
			s1 a
			sync
			s0
			s1
			= s0 a
			= s1 a
			held 2/2`,
		"an instance whose case changes stays": ten() + `
			s0 A B
			= s0 A B
			held`,
	} {
		t.Run(name, func(t *testing.T) { newWorld(t, options()).play(script) })
	}
}

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
			sync
			= s0 a b
			held 2/1`,
		},
		"unless nothing is missing": {
			hold: guard.Hold{Since: start, Reason: "before"},
			script: all + `
			sync
			held`,
		},
		"a release before the registry was read is judged anew": {
			hold: guard.Hold{Since: start, Reason: "before"},
			script: `
			release
			sync
			held 20/10`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options())
			w.guard.Recall(recalled(), c.hold)
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
	w.guard.Recall([]catalog.Service{known}, guard.Hold{Since: start})
	w.play(`
		s0 a b
		= s0 recalled-2 a b
		sync
		held 1/0
		s0 a b c
		= s0 a b c
		held`)
}

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
