package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A walk is the store of its engine. If the last known good is to be read from the mesh, Load returns a snapshot of it.

func (w *walk) Load(ctx context.Context) (contract.Snapshot, error) {
	snapshot, err := w.store.Load(ctx)
	if w.store.partial {
		snapshot = w.snapshot()
	}
	return snapshot, err
}

func (w *walk) Save(change contract.Change) { w.store.Save(change) }

func (w *walk) Run(ctx context.Context, feedback contract.Feedback) error {
	return w.store.Run(ctx, feedback)
}

// readOnlyStore is the store of a standby replica.
type readOnlyStore struct{ *walk }

func (readOnlyStore) Save(contract.Change) {}

// walkOutput is the output of a walk's engine. The walk calls write to write its content.
type walkOutput struct {
	contract.WorkSet
	// all reports whether the next write compares all services.
	all bool
}

func (o *walkOutput) Synced()                                   { o.all = true }
func (o *walkOutput) Run(context.Context, contract.State) error { return nil }
func (o *walkOutput) Ready() error                              { return nil }

// write writes the desired state of the pending services to the mesh.
func (w *walk) write() {
	output := w.engine.outputs[0].(*walkOutput)
	names := output.Drain()
	if output.all {
		names = names[:0]
		for name := range w.visible {
			names = append(names, mesh.Name{Source: "consul", Label: name})
		}
	}
	output.all = false
	for _, name := range names {
		if desired := w.engine.Desired(name); desired.Authoritative {
			w.mesh[name] = desired.Objects
		}
	}
}

// snapshot returns the mesh as another replica reads it.
func (w *walk) snapshot() contract.Snapshot {
	snapshot := contract.Snapshot{Holds: w.store.holds, Live: map[mesh.Name][]mesh.Object{}}
	for name, objects := range w.mesh {
		if len(objects) > 0 {
			snapshot.Live[name] = objects
			snapshot.Services = append(snapshot.Services, mesh.Parse(name, objects)...)
		}
	}
	return snapshot
}

// restart replaces the engine by a new one with the last known good. The clock may have changed meanwhile.
func (w *walk) restart() {
	w.interrupted++
	if w.random.IntN(2) == 0 {
		step := time.Duration(w.random.IntN(2000)-1000) * time.Hour
		w.now, w.failedAt = w.now.Add(step), w.failedAt.Add(step)
	}
	w.engine = w.newEngine(w)
	w.write()
	w.check()
	w.unreported = map[string]bool{}
	for _, name := range append(w.bogus(), w.shuffled()...) {
		if report := w.reportOf(name); len(report.Instances) > 0 {
			w.engine.handle(oneUpdate(report))
			w.write()
			w.check()
		}
	}
	for _, name := range w.all() {
		w.unreported[name] = len(w.reportOf(name).Instances) == 0
	}
	w.engine.handleSynced("consul", w.hiddenNodes == nil)
	w.write()
	w.follow()
}

// follow starts a new standby replica and reports everything to it.
func (w *walk) follow() {
	w.disconnected, w.standby, w.followedAt = false, w.newEngine(readOnlyStore{w}), w.now
	for _, name := range w.all() {
		if report := w.reportOf(name); len(report.Instances) > 0 {
			w.standby.handle(oneUpdate(report))
		}
	}
	w.standby.handleSynced("consul", w.hiddenNodes == nil)
}

// takeOver makes the standby replica the leader. A disconnected one must not change the mesh until it is connected.
func (w *walk) takeOver() {
	if !w.store.partial {
		return // replicas with a store of their own don't share the mesh
	}
	w.engine = w.standby
	w.standby = nil
	w.engine.options.Store = w
	if w.failing && !w.followedAt.Before(w.failedAt) {
		w.interrupted++ // it didn't see the removals before it started
	}
	h := handover{Snapshot: w.snapshot(), done: make(chan struct{})}
	if w.disconnected {
		w.interrupted++
		h.disconnected = []string{"consul"}
	}
	w.engine.handleHandover(h)
	w.engine.outputs[0].Synced() // a new leader compares all objects
	before := maps.Clone(w.mesh)
	w.write()
	w.check()
	if w.disconnected {
		if !maps.EqualFunc(before, w.mesh, func(a, b []mesh.Object) bool { return slices.EqualFunc(a, b, mesh.Object.Equal) }) {
			w.t.Fatal("a disconnected replica changed the mesh")
		}
		for _, name := range w.all() {
			w.engine.handle(oneUpdate(w.reportOf(name)))
			w.write()
		}
		w.engine.handleConnected("consul")
		w.write()
	}
	w.follow()
}

// reconnect connects the standby replica again and reports everything to it.
func (w *walk) reconnect() {
	if w.disconnected {
		w.disconnected = false
		for _, name := range w.all() {
			w.standby.handle(oneUpdate(w.reportOf(name)))
		}
		w.standby.handleSynced("consul", w.hiddenNodes == nil)
	}
}

// reload changes the rules. ReleaseAfter is longer than a walk, so only a wrong clock could end a hold by it.
func (w *walk) reload() {
	w.interrupted++
	w.rules.Guard.ReleaseAfter = time.Duration(w.random.IntN(2)) * 100 * time.Hour
	w.rules.Guard.FewServices = 1 + w.random.IntN(2)
	w.fewServices = max(w.fewServices, w.rules.Guard.FewServices)
	for _, e := range []*Engine{w.engine, w.standby} {
		e.handleRules(w.rules)
	}
	w.write()
}

// hide removes the right of the source to read some nodes.
func (w *walk) hide() {
	w.hiddenNodes = map[string]bool{fmt.Sprint("n", w.random.IntN(5)): true, fmt.Sprint("n", w.random.IntN(5)): true}
}

// reportOf returns the content of a service that the source can read. A service on hidden nodes has no instances.
func (w *walk) reportOf(name string) catalog.Service {
	report := w.visible[name]
	report.Key = catalog.Key{Source: "consul", Name: name}
	if w.hiddenNodes == nil {
		return report
	}
	report.Partial = true
	report.Instances = slices.DeleteFunc(slices.Clone(report.Instances), func(i catalog.Instance) bool { return w.hiddenNodes[i.ID.Node] })
	for _, i := range report.Instances {
		report.Seen = append(report.Seen, i.ID.Node)
	}
	return report
}

// show restores the right to read all nodes. Services that the source never saw are reported by the sync alone.
func (w *walk) show() {
	w.hiddenNodes = nil
	for _, name := range w.all() {
		if !w.unreported[name] || len(w.visible[name].Instances) > 0 {
			w.report(name)
		}
	}
	w.unreported = nil
	w.engine.handleSynced("consul", true)
	w.write()
	if !w.disconnected {
		w.standby.handleSynced("consul", true)
	}
}

// all returns the names of all services that a walk uses.
func (w *walk) all() (names []string) {
	for n := range 35 {
		names = append(names, fmt.Sprint("s", n))
	}
	return append(names, w.bogus()...)
}

// bogus returns the names of the registrant's services.
func (w *walk) bogus() (names []string) {
	if !w.attacked {
		return nil
	}
	for n := range 60 {
		names = append(names, fmt.Sprint("x", n))
	}
	return names
}

// attack adds, removes or flaps services of the registrant.
func (w *walk) attack() {
	names := w.bogus()[:1+w.random.IntN(60)]
	for range 1 + w.random.IntN(3) {
		kind := w.random.IntN(3)
		for _, name := range names {
			w.visible[name] = onNodes(reported("consul", name, "1", "2", "4"))
			if kind == 0 || kind == 1 && w.random.IntN(2) == 0 {
				delete(w.visible, name)
			}
			w.report(name)
		}
		w.check()
		w.now = w.now.Add(time.Duration(w.random.IntN(10)) * time.Second)
		w.tick()
		w.check()
	}
}

// onNodes places each instance on a node that depends on its ID.
func onNodes(s catalog.Service) catalog.Service {
	for i := range s.Instances {
		s.Instances[i].ID.Node = "n" + s.Instances[i].ID.ServiceID
	}
	return s
}
