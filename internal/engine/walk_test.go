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

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// walk is a random sequence of changes, failures and recoveries of a registry, and of restarts, takeovers and rule changes of
// the engine.
type walk struct {
	t      *testing.T
	random *rand.Rand
	now    time.Time
	store  *fakeStore
	rules  Rules
	engine *Engine
	// mesh are the objects that the output has written.
	mesh map[mesh.Name][]mesh.Object
	// standby is the engine of a standby replica. It writes nothing.
	standby *Engine
	// followedAt is the start of the standby replica.
	followedAt time.Time
	// disconnected reports whether the standby replica has no connection to the registry.
	disconnected bool
	// actual is the content of a healthy registry.
	actual map[string]catalog.Service
	// visible is the content that the registry reports.
	visible map[string]catalog.Service
	// failing reports whether the registry fails.
	failing bool
	// failedAt is the start of the failure.
	failedAt time.Time
	// interrupted counts how often the guard has lost its window since then.
	interrupted int
	// fewServices is the highest Guard.FewServices since then.
	fewServices int
	// hiddenNodes are the nodes that the source can't read, or nil.
	hiddenNodes map[string]bool
	// attacked reports whether a registrant adds, removes and flaps services of its own. They are visible and not actual.
	attacked bool
	// first is the number of services at the beginning. absent are services that left the mesh since, so the guard may
	// compare them with services of the registrant.
	first  int
	absent map[string]bool
	// drained are the first services that left the mesh in the last failure.
	drained map[string]bool
	// unreported are the services that the source has not reported since a restart, because they were hidden.
	unreported map[string]bool
}

// FuzzWalk verifies two promises. A failure of the registry never removes more from the mesh than the limits of the guard
// allow, also while a registrant adds and removes services of its own (odd steps). When the registry has recovered and the holds are released, the mesh equals that of a new engine.
func FuzzWalk(f *testing.F) {
	for seed := range uint64(24) {
		f.Add(seed, uint8(80))
	}
	for seed := range uint64(4) { // such a walk has ten times the services
		f.Add(seed, uint8(81))
	}
	f.Fuzz(runWalk)
}

// runWalk runs one walk.
func runWalk(t *testing.T, seed uint64, steps uint8) {
	w := &walk{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1e9, 0), store: newFakeStore(), rules: guarded(nil).Rules,
		mesh: map[mesh.Name][]mesh.Object{}, absent: map[string]bool{}, actual: map[string]catalog.Service{}, visible: map[string]catalog.Service{},
	}
	w.store.partial, w.attacked = seed%2 == 0, steps%2 == 1
	w.engine = w.newEngine(w)
	for n := range 5 + w.random.IntN(30) {
		w.set(onNodes(reported("consul", fmt.Sprint("s", n), "1", "2", "3"[:w.random.IntN(2)])))
	}
	w.first = len(w.actual)
	w.engine.handleSynced("consul", true)
	w.follow()
	for range steps {
		w.step()
		w.check()
	}
	w.finish()
}

// newEngine returns an engine that has loaded the last known good and has no report yet.
func (w *walk) newEngine(store contract.Store) *Engine {
	options := guarded(store)
	options.Rules = w.rules
	e := New(options, []contract.Source{newFakeSource("consul")}, []contract.Output{&walkOutput{WorkSet: contract.NewWorkSet()}})
	e.now = func() time.Time { return w.now }
	if err := e.restore(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return e
}

// step runs one random step.
func (w *walk) step() {
	w.now = w.now.Add(time.Duration(w.random.IntN(90)) * time.Second)
	w.tick()
	w.check() // a service that leaves now and returns in this step was absent
	if w.attacked && w.random.IntN(2) == 0 {
		w.attack()
	}
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
		w.disconnected = true
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

// change adds, changes or removes an instance, in a window of its own.
func (w *walk) change(name string) {
	w.now = w.now.Add(2 * time.Minute)
	service := w.actual[name]
	service.Instances = slices.Clone(service.Instances)
	at := w.random.IntN(4)
	leaves := at < len(service.Instances) && w.random.IntN(2) == 0
	if !leaves && w.hiddenNodes != nil {
		w.show() // a new instance on a hidden node isn't visible
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

// fail makes the registry report services as removed, critical or without a port, at once or slowly.
func (w *walk) fail() {
	w.show()                 // otherwise the failure would have two steps
	for n := range w.first { // those without endpoints by now, from this or an earlier failure
		if name := fmt.Sprint("s", n); !w.hasEndpoints(name) || w.drained[name] {
			w.absent[name] = true
		}
	}
	w.drained = map[string]bool{}
	w.failing, w.failedAt, w.interrupted, w.fewServices = true, w.now, 0, w.rules.Guard.FewServices
	slow, restless := w.random.IntN(3) == 0, w.random.IntN(3) == 0
	share, kind := w.random.Float64(), w.random.IntN(3)
	for _, name := range w.shuffled() {
		service := w.actual[name]
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
		w.visible[name] = service
		w.report(name)
		w.check()
		if w.attacked && w.random.IntN(10) == 0 {
			w.attack()
		}
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

// recover makes the registry report its actual content again.
func (w *walk) recover() {
	for _, name := range w.shuffled() {
		w.visible[name] = w.actual[name]
		w.report(name)
		w.check()
	}
	w.failing = false
}

// set changes the actual content of a service.
func (w *walk) set(service catalog.Service) {
	w.actual[service.Name], w.visible[service.Name] = service, service
	if len(service.Instances) == 0 {
		delete(w.actual, service.Name)
	}
	w.report(service.Name)
}

// report reports a service to the engine, and to the standby replica if it is connected.
func (w *walk) report(name string) {
	w.engine.handle(oneUpdate(w.reportOf(name)))
	w.write()
	if w.standby != nil && !w.disconnected {
		w.standby.handle(oneUpdate(w.reportOf(name)))
	}
}

// tick lets both engines handle the current time.
func (w *walk) tick() {
	w.engine.tick()
	w.write()
	if w.standby != nil {
		w.standby.tick()
	}
}

// shuffled returns the names of the actual services in random order.
func (w *walk) shuffled() []string {
	names := slices.Sorted(maps.Keys(w.actual))
	w.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

// check compares the mesh with the actual content of the registry.
func (w *walk) check() {
	w.t.Helper()
	rules := w.rules.Guard
	missing, drained, all := 0, 0, 0
	for name, service := range w.actual {
		live := map[string]bool{}
		for _, object := range w.mesh[mesh.Name{Source: "consul", Label: name}] {
			live[object.Annotations[mesh.ServiceIDAnnotation]] = true
		}
		serving, gone := 0, 0
		for _, instance := range service.Instances {
			if meshOptions().Serves(instance) {
				serving++
				if !live[instance.ID.ServiceID] {
					gone++
				}
			}
		}
		all, missing = all+serving, missing+gone
		if serving > 0 && gone == serving {
			drained++
		}
	}
	// The limits apply per window. A guard that lost its window begins another one.
	windows := 1
	if w.failing {
		windows += w.interrupted + int(w.now.Sub(w.failedAt)/rules.Window)
	}
	hold, _ := w.engine.sourceOf("consul").guard.Hold()
	if w.attacked {
		w.checkFirst(windows)
		return
	}
	if most := windows * max(rules.FewInstances, int(rules.Instances*float64(all+hold.Instances))); missing > most {
		w.t.Fatalf("%d of %d instances are missing, at most %d are allowed", missing, all, most)
	}
	if most := windows * max(rules.FewServices, w.fewServices, int(rules.Services*float64(len(w.actual)+hold.Services))); drained > most {
		w.t.Fatalf("%d of %d services have no instances, at most %d are allowed", drained, len(w.actual), most)
	}
}

// checkFirst verifies the bound of services for those that were in the mesh all the time. Services of the registrant have no
// influence on them.
func (w *walk) checkFirst(windows int) {
	w.t.Helper()
	drained := 0
	for n := range w.first {
		name := fmt.Sprint("s", n)
		switch empty := !w.hasEndpoints(name); {
		case !empty || w.absent[name]:
		case w.failing && slices.ContainsFunc(w.actual[name].Instances, meshOptions().Serves):
			drained++
			w.drained[name] = true
		default:
			w.absent[name] = true
		}
	}
	if most := windows * max(w.rules.Guard.FewServices, w.fewServices, int(w.rules.Guard.Services*float64(w.first))); drained > most {
		w.t.Fatalf("%d of the first %d services have no instances, at most %d are allowed", drained, w.first, most)
	}
}

// hasEndpoints reports whether a service has an endpoint in the mesh.
func (w *walk) hasEndpoints(name string) bool {
	return slices.ContainsFunc(w.mesh[mesh.Name{Source: "consul", Label: name}], func(o mesh.Object) bool {
		return o.Kind == mesh.WorkloadEntryKind
	})
}

// finish recovers, releases all holds and compares the engine with a new one.
func (w *walk) finish() {
	w.show()
	if w.failing {
		w.recover()
	}
	w.reconnect()
	for _, name := range w.bogus() {
		delete(w.visible, name)
		w.report(name)
	}
	w.engine.handleRelease("consul")
	fresh := New(Options{
		Rules: guarded(nil).Rules, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()),
	}, []contract.Source{newFakeSource("consul")}, nil)
	for _, service := range w.actual {
		fresh.handle(oneUpdate(service))
	}
	if diff := cmp.Diff(held(fresh), held(w.engine), cmp.Comparer(mesh.Object.Equal)); diff != "" {
		w.t.Fatalf("the desired state differs from that of a new engine (-new +walked):\n%s", diff)
	}
}
