package engine

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// walk is a registry that changes, fails and recovers at random, and a engine that follows it and is restarted, or
// followed by another one.
type walk struct {
	t      *testing.T
	random *rand.Rand
	now    time.Time
	store  *fakeStore
	rules  Rules
	engine *Engine
	// mesh is what the output has written: what isn't known stays.
	mesh map[mesh.Name][]mesh.Object
	// standby follows, too, since followed and unless it is cut off, and writes nothing.
	standby  *Engine
	followed time.Time
	cut      bool
	// truth is what the registry would say if it were well; said what it says.
	truth, said map[string]catalog.Service
	failing     bool
	// failed is since when, and interrupted how often what went before was forgotten since.
	failed      time.Time
	interrupted int
	// few is how many services the loosest rules of that time let go.
	few int
	// hidden are the nodes that the source may not read, nil for none; unheard the services of before a restart that it so
	// knows nothing of.
	hidden, unheard map[string]bool
}

// FuzzWalk holds that whatever happens, a registry's failure leaves the mesh no emptier than the guard's rules allow, and
// that once it is well again and what is still held was released, the mesh is what a fresh start would make.
func FuzzWalk(f *testing.F) {
	for seed := range uint64(24) {
		f.Add(seed, uint8(80))
	}
	f.Fuzz(func(t *testing.T, seed uint64, steps uint8) {
		w := &walk{
			t: t, random: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1e9, 0), store: newFakeStore(), rules: guarded(nil).Rules,
			mesh: map[mesh.Name][]mesh.Object{}, truth: map[string]catalog.Service{}, said: map[string]catalog.Service{},
		}
		w.store.partial = seed%2 == 0
		w.engine = w.fresh(w)
		for n := range 5 + w.random.IntN(30) {
			w.set(onNodes(reported("consul", fmt.Sprint("s", n), "1", "2", "3"[:w.random.IntN(2)])))
		}
		w.engine.handleSynced("consul", true)
		w.follow()
		for range steps {
			w.step()
			w.check()
		}
		w.finish()
	})
}

// fresh makes a engine that begins with what a store has. It doesn't know yet what the registry says.
func (w *walk) fresh(store contract.Store) *Engine {
	options := guarded(store)
	options.Rules = w.rules
	e := New(options, []contract.Source{newFakeSource("consul")}, []contract.Output{&walkOutput{WorkSet: contract.NewWorkSet()}})
	e.now = func() time.Time { return w.now }
	if err := e.restore(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *walk) step() {
	w.now = w.now.Add(time.Duration(w.random.IntN(90)) * time.Second)
	w.tick()
	name := fmt.Sprint("s", w.random.IntN(35))
	switch w.random.IntN(17) {
	case 0:
		w.restart()
	case 1, 2:
		if !w.failing {
			w.fail()
		}
	case 3, 4, 5:
		if w.failing {
			w.recover()
		}
	case 6:
		w.takeOver()
	case 7:
		w.cut = true
	case 8:
		w.reconnect()
	case 9:
		w.reload()
	case 10:
		if !w.failing {
			w.hide()
		}
	case 11:
		w.show()
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

// fail has the registry forget some or all of what it knows, or call it critical, or without a port, at once or within some
// time.
func (w *walk) fail() {
	w.show() // or it would fail in two steps
	w.failing, w.failed, w.interrupted, w.few = true, w.now, 0, w.rules.Guard.FewServices
	slow, restless := w.random.IntN(3) == 0, w.random.IntN(3) == 0
	share, kind := w.random.Float64(), w.random.IntN(3)
	for _, name := range w.shuffled() {
		service := w.truth[name]
		service.Instances = slices.Clone(service.Instances)
		if w.random.Float64() < share {
			for i := range service.Instances {
				switch kind {
				case 0:
					service.Instances[i].Health = catalog.Critical
				case 1:
					service.Instances[i].Port = 0
				}
			}
			if kind == 2 {
				service.Instances = service.Instances[:w.random.IntN(len(service.Instances))]
			}
		}
		w.said[name] = service
		w.report(name)
		w.check()
		if slow {
			w.now = w.now.Add(time.Duration(w.random.IntN(5)) * time.Second)
			w.tick()
			w.check()
		}
		if restless && w.random.IntN(20) == 0 {
			[]func(){w.restart, w.takeOver, w.reload}[w.random.IntN(3)]()
			w.check()
		}
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

func (w *walk) report(name string) {
	w.engine.handle(oneUpdate(w.shown(name)))
	w.write()
	if w.standby != nil && !w.cut {
		w.standby.handle(oneUpdate(w.shown(name)))
	}
}

func (w *walk) tick() {
	w.engine.tick()
	w.write()
	if w.standby != nil {
		w.standby.tick()
	}
}

func (w *walk) shuffled() []string {
	names := slices.Sorted(maps.Keys(w.truth))
	w.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

// check compares what the mesh has with what it would have if the registry were well.
func (w *walk) check() {
	w.t.Helper()
	rules := w.rules.Guard
	missing, drained, all := 0, 0, 0
	for name, service := range w.truth {
		stands := map[string]bool{}
		for _, object := range w.mesh[mesh.Name{Source: "consul", Label: name}] {
			stands[object.Annotations[mesh.ServiceIDAnnotation]] = true
		}
		serving, gone := 0, 0
		for _, instance := range service.Instances {
			if meshOptions().Serves(instance) {
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
	// Each window may take so much, and what forgets the window begins another one.
	windows := 1
	if w.failing {
		windows += w.interrupted + int(w.now.Sub(w.failed)/rules.Window)
	}
	hold, _ := w.engine.sourceOf("consul").guard.Hold()
	if most := windows * max(rules.FewInstances, int(rules.Instances*float64(all+hold.Instances))); missing > most {
		w.t.Fatalf("%d of %d instances are missing, though %d may be", missing, all, most)
	}
	if most := windows * max(rules.FewServices, w.few, int(rules.Services*float64(len(w.truth)+hold.Services))); drained > most {
		w.t.Fatalf("%d of %d services are without instances, though %d may be", drained, len(w.truth), most)
	}
}

func (w *walk) finish() {
	w.show()
	if w.failing {
		w.recover()
	}
	w.reconnect()
	w.engine.handleRelease("consul")
	fresh := New(Options{
		Rules: guarded(nil).Rules, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()),
	}, []contract.Source{newFakeSource("consul")}, nil)
	for _, service := range w.truth {
		fresh.handle(oneUpdate(service))
	}
	if diff := cmp.Diff(held(fresh), held(w.engine), cmp.Comparer(mesh.Object.Equal)); diff != "" {
		w.t.Fatalf("differs from a fresh start (-fresh +walked):\n%s", diff)
	}
}
