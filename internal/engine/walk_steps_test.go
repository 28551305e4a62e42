package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A walk is the store of its engine. Where that is to be read from the mesh, it gives what the mesh holds.

func (w *walk) Load(ctx context.Context) (contract.Snapshot, error) {
	r, err := w.store.Load(ctx)
	if w.store.partial {
		r = w.standing()
	}
	return r, err
}

func (w *walk) Save(change contract.Change) { w.store.Save(change) }

func (w *walk) Run(ctx context.Context, feedback contract.Feedback) error {
	return w.store.Run(ctx, feedback)
}

// readOnlyStore is the store of who doesn't lead.
type readOnlyStore struct{ *walk }

func (readOnlyStore) Save(contract.Change) {}

// pen is the output of a walk's engine, which writes when the walk has it do so.
type walkOutput struct {
	contract.WorkSet
	// all says that there may be something to write of any service.
	all bool
}

func (p *walkOutput) Synced()                                   { p.all = true }
func (p *walkOutput) Run(context.Context, contract.State) error { return nil }
func (p *walkOutput) Ready() error                              { return nil }

// write has the mesh hold what the engine wants.
func (w *walk) write() {
	output := w.engine.outputs[0].(*walkOutput)
	names := output.Drain()
	if output.all {
		names = names[:0]
		for name := range w.said {
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

// standing is what the mesh holds, as who reads it finds it.
func (w *walk) standing() contract.Snapshot {
	r := contract.Snapshot{Holds: w.store.holds, Live: map[mesh.Name][]mesh.Object{}}
	for name, objects := range w.mesh {
		if len(objects) > 0 {
			r.Live[name] = objects
			r.Services = append(r.Services, mesh.Parse(name, objects)...)
		}
	}
	return r
}

// restart begins anew with what was remembered, reads the registry as it is, and may find another time.
func (w *walk) restart() {
	w.interrupted++
	if w.random.IntN(2) == 0 {
		step := time.Duration(w.random.IntN(2000)-1000) * time.Hour
		w.now, w.failed = w.now.Add(step), w.failed.Add(step)
	}
	w.engine = w.fresh(w)
	w.write()
	w.check()
	w.unheard = map[string]bool{}
	for _, name := range w.shuffled() {
		if said := w.shown(name); len(said.Instances) > 0 {
			w.engine.handle(oneUpdate(said))
			w.write()
			w.check()
		}
	}
	for _, name := range w.all() {
		w.unheard[name] = len(w.shown(name).Instances) == 0
	}
	w.engine.handleSynced("consul", w.hidden == nil)
	w.write()
	w.follow()
}

// follow makes another standby, that knows all there is.
func (w *walk) follow() {
	w.cut, w.standby, w.followed = false, w.fresh(readOnlyStore{w}), w.now
	for _, name := range w.all() {
		if said := w.shown(name); len(said.Instances) > 0 {
			w.standby.handle(oneUpdate(said))
		}
	}
	w.standby.handleSynced("consul", w.hidden == nil)
}

// takeOver has the standby lead from now on. One that is cut off changes nothing before it isn't any more.
func (w *walk) takeOver() {
	if !w.store.partial {
		return // with a store of its own nobody takes over
	}
	w.engine = w.standby
	w.standby = nil
	w.engine.options.Store = w
	if w.failing && !w.followed.Before(w.failed) {
		w.interrupted++ // it doesn't know what left before it came
	}
	h := handover{Snapshot: w.standing(), done: make(chan struct{})}
	if w.cut {
		w.interrupted++
		h.disconnected = []string{"consul"}
	}
	w.engine.handleHandover(h)
	w.engine.outputs[0].Synced() // a new term looks at everything
	before := maps.Clone(w.mesh)
	w.write()
	w.check()
	if w.cut {
		if !maps.EqualFunc(before, w.mesh, func(a, b []mesh.Object) bool { return slices.EqualFunc(a, b, mesh.Object.Equal) }) {
			w.t.Fatal("who is cut off changed the mesh")
		}
		for _, name := range w.all() {
			w.engine.handle(oneUpdate(w.shown(name)))
			w.write()
		}
		w.engine.handleConnected("consul")
		w.write()
	}
	w.follow()
}

// reconnect has the standby read what it missed.
func (w *walk) reconnect() {
	if w.cut {
		w.cut = false
		for _, name := range w.all() {
			w.standby.handle(oneUpdate(w.shown(name)))
		}
		w.standby.handleSynced("consul", w.hidden == nil)
	}
}

// reload has other rules judge from now on. A hold may last longer than any walk, which only a wrong clock would exceed.
func (w *walk) reload() {
	w.interrupted++
	w.rules.Guard.ReleaseAfter = time.Duration(w.random.IntN(2)) * 100 * time.Hour
	w.rules.Guard.FewServices = 1 + w.random.IntN(2)
	w.few = max(w.few, w.rules.Guard.FewServices)
	for _, e := range []*Engine{w.engine, w.standby} {
		e.handleRules(w.rules)
	}
	w.write()
}

// hide has the source read everything but what is on some nodes.
func (w *walk) hide() {
	w.hidden = map[string]bool{fmt.Sprint("n", w.random.IntN(5)): true, fmt.Sprint("n", w.random.IntN(5)): true}
}

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
	for _, name := range w.all() {
		if !w.unheard[name] || len(w.said[name].Instances) > 0 {
			w.report(name)
		}
	}
	w.unheard = nil
	w.engine.handleSynced("consul", true)
	w.write()
	if !w.cut {
		w.standby.handleSynced("consul", true)
	}
}

// all are the services that there may be.
func (w *walk) all() (names []string) {
	for n := range 35 {
		names = append(names, fmt.Sprint("s", n))
	}
	return names
}

// onNodes puts each instance on a node of its own, which others of its ID share.
func onNodes(s catalog.Service) catalog.Service {
	for i := range s.Instances {
		s.Instances[i].ID.Node = "n" + s.Instances[i].ID.ServiceID
	}
	return s
}
