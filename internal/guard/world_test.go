package guard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// A step of a scenario is one of
//
//	web a b- c!   the registry reports web: a serves, b is critical, c is in maintenance; no instances: it is gone
//	web? a        it may not show everything of web: a serves, and others may
//	+30s          time passes
//	sync          the registry has reported everything
//	sync?         or what it shows: it may not show every name
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
	name, partial := strings.CutSuffix(words[0], "?")
	s := catalog.Service{Key: catalog.Key{Source: "dc1", Name: name}, Partial: partial}
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
		case line == "sync", line == "sync?":
			w.take(w.guard.Synced(w.now, line == "sync"))
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

// instances counts what the mesh holds.
func (w *world) instances() int {
	n := 0
	for _, names := range w.mesh {
		n += len(strings.Fields(names))
	}
	return n
}
