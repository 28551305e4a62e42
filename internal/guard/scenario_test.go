package guard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// scenario runs a script against a guard. Each line of the script is a step:
//
//	web a b- c!   the registry reports web: a is passing, b critical, c in maintenance; without instances, web is gone
//	web a~        the source leaves a out because of its kind
//	web? a        a partial report of web: a is passing, other instances may exist
//	+30s          30 seconds pass
//	sync          the registry has reported its complete content
//	sync?         the registry has reported all that the source can read
//	release       an operator releases the hold
//	= web a b     the mesh has web with a and b; without instances, the mesh doesn't have web
//	held 3/2      3 instances and 2 services are held; without numbers, nothing is held
type scenario struct {
	t     *testing.T
	guard *guard.Guard
	now   time.Time
	mesh  map[string]string
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func options() guard.Options {
	return guard.Options{
		Window: time.Minute, Instances: 0.5, Services: 0.1, FewInstances: 3, FewServices: 1,
		Serving: func(i catalog.Instance) bool { return i.Health == catalog.Passing && i.LeftOut == 0 },
	}
}

func newScenario(t *testing.T, options guard.Options) *scenario {
	return &scenario{t: t, guard: guard.New(options), now: start, mesh: map[string]string{}}
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
		var leftOut catalog.Kinds
		if strings.HasSuffix(word, "~") {
			leftOut = catalog.UDP
		}
		name := strings.TrimRight(word, "-!~")
		s.Instances = append(s.Instances, catalog.Instance{
			ID: catalog.InstanceID{Node: "n", ServiceID: name}, Address: name, Port: 80, Health: health, LeftOut: leftOut,
		})
	}
	return s
}

// take applies the services that the guard returned to the mesh. The mesh has the passing instances.
func (w *scenario) take(services []catalog.Service) {
	for _, s := range services {
		var names []string
		for _, i := range s.Instances {
			if i.Health == catalog.Passing && i.LeftOut == 0 {
				names = append(names, i.ID.ServiceID)
			}
		}
		w.mesh[s.Name] = strings.Join(names, " ")
	}
}

func (w *scenario) run(script string) {
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
				w.t.Errorf("%s: the mesh has %q", line, got)
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

// ten returns the steps of a registry with ten services of two instances each.
func ten() string {
	var script strings.Builder
	for i := range 10 {
		fmt.Fprintf(&script, "s%d a b\n", i)
	}
	return script.String() + "sync\n"
}

// instances returns the number of instances in the mesh.
func (w *scenario) instances() int {
	n := 0
	for _, names := range w.mesh {
		n += len(strings.Fields(names))
	}
	return n
}
