package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// walk is a registry that changes, fails and recovers at random, and a bridge that follows it and is restarted.
type walk struct {
	t      *testing.T
	random *rand.Rand
	now    time.Time
	memory *diary
	bridge *Bridge
	// truth is what the registry would say if it were well; said what it says.
	truth, said map[string]catalog.Service
	failing     bool
	// hidden are the nodes that the source may not read, nil for none; unheard the services of before a restart that it so
	// knows nothing of.
	hidden, unheard map[string]bool
}

// FuzzWalk holds that whatever happens, a registry's failure leaves the mesh no emptier than the guard's rules allow, and
// that once it is well again and what is still held was released, the mesh is what a fresh start would make.
func FuzzWalk(f *testing.F) {
	for seed := range uint64(30) {
		f.Add(seed, uint8(80))
	}
	f.Fuzz(func(t *testing.T, seed uint64, steps uint8) {
		w := &walk{
			t: t, random: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1e9, 0), memory: newDiary(),
			truth: map[string]catalog.Service{}, said: map[string]catalog.Service{},
		}
		w.memory.partly = seed%2 == 0
		w.restart()
		for n := range 5 + w.random.IntN(30) {
			w.set(onNodes(reported("consul", fmt.Sprint("s", n), "1", "2", "3"[:w.random.IntN(2)])))
		}
		w.bridge.takeSynced("consul", true)
		for range steps {
			w.step()
			w.check()
		}
		w.finish()
	})
}

// restart begins anew with what was remembered. A bridge that is not the first reads the registry as it is.
func (w *walk) restart() {
	b := New(guarded(w.memory), []Source{newScript("consul")}, nil)
	w.bridge, b.now = b, func() time.Time { return w.now }
	if err := b.recall(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *walk) step() {
	w.now = w.now.Add(time.Duration(w.random.IntN(90)) * time.Second)
	w.bridge.tick()
	name := fmt.Sprint("s", w.random.IntN(35))
	switch w.random.IntN(12) {
	case 0: // what its memory held partly stands in the mesh until the first report
		w.restart()
		w.unheard = map[string]bool{}
		for _, name := range w.shuffled() {
			if said := w.shown(name); len(said.Instances) > 0 {
				w.report(name)
			}
		}
		for n := range 35 {
			name := fmt.Sprint("s", n)
			w.unheard[name] = len(w.shown(name).Instances) == 0
		}
		w.bridge.takeSynced("consul", w.hidden == nil)
	case 10:
		if w.failing {
			break
		}
		w.hidden = map[string]bool{fmt.Sprint("n", w.random.IntN(5)): true, fmt.Sprint("n", w.random.IntN(5)): true}
	case 11:
		w.show()
	case 1, 2:
		if !w.failing {
			w.fail()
		}
	case 3, 4, 5:
		if w.failing {
			w.recover()
		}
	default:
		if !w.failing {
			w.change(name)
		}
	}
}

// change is one that somebody meant: an instance more or less, or another health. It comes alone in its window.
func (w *walk) change(name string) {
	w.now = w.now.Add(2 * time.Minute)
	service := w.truth[name]
	service.Instances = slices.Clone(service.Instances)
	at := w.random.IntN(4)
	leaves := at < len(service.Instances) && w.random.IntN(2) == 0
	if !leaves && w.hidden != nil {
		w.show() // what is new on a hidden node can't be known
	}
	switch {
	case leaves:
		service.Instances = slices.Delete(service.Instances, at, at+1)
	case at < len(service.Instances):
		service.Instances[at].Health = catalog.Health(w.random.IntN(4))
	default:
		service = onNodes(reported("consul", name, "1", "2", "4"))
	}
	service.Key = catalog.Key{Source: "consul", Name: name}
	w.set(service)
	w.now = w.now.Add(2 * time.Minute)
}

// fail has the registry forget some or all of what it knows, or call it critical, at once.
func (w *walk) fail() {
	w.show() // or it would fail in two steps
	w.failing = true
	share, critical := w.random.Float64(), w.random.IntN(2) == 0
	for _, name := range w.shuffled() {
		service := w.truth[name]
		service.Instances = slices.Clone(service.Instances)
		if w.random.Float64() < share {
			if critical {
				for i := range service.Instances {
					service.Instances[i].Health = catalog.Critical
				}
			} else {
				service.Instances = service.Instances[:w.random.IntN(len(service.Instances))]
			}
		}
		w.said[name] = service
		w.report(name)
		w.check()
	}
}

func (w *walk) recover() {
	for _, name := range w.shuffled() {
		w.said[name] = w.truth[name]
		w.report(name)
		w.check()
	}
	w.failing = false
}

func (w *walk) set(service catalog.Service) {
	w.truth[service.Name], w.said[service.Name] = service, service
	if len(service.Instances) == 0 {
		delete(w.truth, service.Name)
	}
	w.report(service.Name)
}

func (w *walk) report(name string) { w.bridge.take(oneUpdate(w.shown(name))) }

// shown is what the source can read of what the registry says. A service whose nodes are all hidden has none to show.
func (w *walk) shown(name string) catalog.Service {
	said := w.said[name]
	said.Key = catalog.Key{Source: "consul", Name: name}
	if w.hidden == nil {
		return said
	}
	said.Partial = true
	said.Instances = slices.DeleteFunc(slices.Clone(said.Instances), func(i catalog.Instance) bool { return w.hidden[i.ID.Node] })
	for _, i := range said.Instances {
		said.Seen = append(said.Seen, i.ID.Node)
	}
	return said
}

// show has the source read everything again. What it doesn't know of is told by the list alone.
func (w *walk) show() {
	w.hidden = nil
	for n := range 35 {
		if name := fmt.Sprint("s", n); !w.unheard[name] || len(w.said[name].Instances) > 0 {
			w.report(name)
		}
	}
	w.unheard = nil
	w.bridge.takeSynced("consul", true)
}

// onNodes puts each instance on a node of its own, which others of its ID share.
func onNodes(s catalog.Service) catalog.Service {
	for i := range s.Instances {
		s.Instances[i].ID.Node = "n" + s.Instances[i].ID.ServiceID
	}
	return s
}

func (w *walk) shuffled() []string {
	names := slices.Sorted(maps.Keys(w.truth))
	w.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

// check compares what the mesh has with what it would have if the registry were well.
func (w *walk) check() {
	w.t.Helper()
	rules := guarded(nil).Rules.Guard
	missing, drained, all := 0, 0, 0
	for name, service := range w.truth {
		stands := map[string]bool{}
		for _, object := range w.bridge.Desired(mesh.Name{Source: "consul", Label: name}).Objects {
			stands[object.Annotations[mesh.ServiceIDAnnotation]] = true
		}
		serving, gone := 0, 0
		for _, instance := range service.Instances {
			if meshOptions().TakesTraffic(instance) {
				serving++
				if !stands[instance.ID.ServiceID] {
					gone++
				}
			}
		}
		all, missing = all+serving, missing+gone
		if serving > 0 && gone == serving {
			drained++
		}
	}
	hold, _ := w.bridge.guards["consul"].Hold()
	if most := max(rules.FewInstances, int(rules.Instances*float64(all+hold.Instances))); missing > most {
		w.t.Fatalf("%d of %d instances are missing, though %d may be", missing, all, most)
	}
	if most := max(rules.FewServices, int(rules.Services*float64(len(w.truth)+hold.Services))); drained > most {
		w.t.Fatalf("%d of %d services are without instances, though %d may be", drained, len(w.truth), most)
	}
}

func (w *walk) finish() {
	w.show()
	if w.failing {
		w.recover()
	}
	w.bridge.takeRelease("consul")
	fresh := New(Options{
		Rules: guarded(nil).Rules, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()),
	}, []Source{newScript("consul")}, nil)
	for _, service := range w.truth {
		fresh.take(oneUpdate(service))
	}
	if diff := cmp.Diff(held(fresh), held(w.bridge), cmp.Comparer(mesh.Object.Equal)); diff != "" {
		w.t.Fatalf("differs from a fresh start (-fresh +walked):\n%s", diff)
	}
}
