package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"golang.org/x/sync/errgroup"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// touchPatience is how long a registry may take to show that it is there.
	touchPatience = 3 * time.Second
	// touchAgain is how often one that doesn't is asked.
	touchAgain = time.Second
)

// takeover is what stands in the mesh when this replica begins to write.
type takeover struct {
	contract.Snapshot
	// doubtful are the sources that are not in touch with their registries.
	doubtful []string
	// taken is closed once it is taken in.
	taken chan struct{}
}

// doubt is what is known of a source that isn't in touch with its registry: it waits until that is so.
type doubt struct {
	reports map[string]update
	// synced says that the reports are what the source can read, whole that this is everything.
	synced, whole bool
	// addressed are the services whose virtual addresses are theirs until it is known that they are gone.
	addressed map[mesh.Name]bool
}

// Connected implements Listener.
func (b *Engine) Connected(ctx context.Context) bool { return len(b.outOfTouch(ctx, nil)) == 0 }

// outOfTouch asks sources, all where none is named, and returns those that are not in touch with their registries.
func (b *Engine) outOfTouch(ctx context.Context, names []string) []string {
	ctx, cancel := context.WithTimeout(ctx, touchPatience)
	defer cancel()
	var group errgroup.Group
	doubtful := make([]string, len(b.sources))
	for i, source := range b.sources {
		witness, ok := source.(contract.ConnectionChecker)
		if !ok || names != nil && !slices.Contains(names, source.Name()) {
			continue
		}
		group.Go(func() error {
			if err := witness.Connected(ctx); err != nil {
				b.log.Debug("a source is not in touch with its registry", "source", source.Name(), "error", err)
				doubtful[i] = source.Name()
			}
			return nil
		})
	}
	_ = group.Wait() // what fails is doubtful
	return slices.DeleteFunc(doubtful, func(name string) bool { return name == "" })
}

// TakeOver implements Listener.
func (b *Engine) TakeOver(ctx context.Context, recollection contract.Snapshot) {
	t := takeover{Snapshot: recollection, doubtful: b.outOfTouch(ctx, nil), taken: make(chan struct{})}
	b.inbox.takeOver(t)
	select {
	case <-t.taken:
	case <-ctx.Done():
	}
}

// takeTakeover goes on from what stands: each guard compares it with what its source reported. A source that is not in
// touch with its registry says nothing of it until it is, as if it had not reported yet.
func (b *Engine) takeTakeover(t takeover) {
	defer close(t.taken)
	bySource := map[string][]catalog.Service{}
	for _, service := range t.Services {
		bySource[service.Source] = append(bySource[service.Source], service)
	}
	sources := slices.Sorted(maps.Keys(b.guards))
	for _, source := range sources {
		if slices.Contains(t.doubtful, source) {
			b.doubt(source, t.Changed)
		} else {
			b.settle(source)
		}
	}
	b.notify(b.recallStanding(t.Live))
	for _, source := range sources {
		hold := t.Holds[source]
		b.ending = "the replica that led before held nothing"
		if b.doubts[source] == nil {
			b.accept(source, b.guards[source].Rebase(b.now(), bySource[source], hold), b.now())
			continue
		}
		b.withdraw(source, t)
		b.guards[source] = guard.New(b.options.Rules.guard())
		b.guards[source].Restore(bySource[source], hold)
		b.showHold(source)
	}
	b.takeNews(contract.Conflicts{LeaderAddresses: t.Addresses})
}

// doubt has what a source reports wait until it is in touch with its registry.
func (b *Engine) doubt(source string, changed time.Time) {
	if b.doubts[source] != nil {
		return
	}
	reported, synced, whole := b.guards[source].Reported()
	d := &doubt{reports: map[string]update{}, synced: synced, whole: whole, addressed: map[mesh.Name]bool{}}
	for _, service := range reported {
		d.reports[service.Name] = update{service, b.now()}
	}
	b.mu.Lock()
	b.doubts[source] = d
	b.synced[source], b.reportedAll[source], b.recalled[source] = false, false, changed
	b.mu.Unlock()
	b.log.Warn("this replica takes over without being in touch with the registry: until it is, what stands of the source stays as it is",
		"source", source)
}

// withdraw takes back what a source reported: what stands of its services is all that is known.
func (b *Engine) withdraw(source string, t takeover) {
	d := b.doubts[source]
	for _, name := range slices.Sorted(maps.Keys(d.reports)) {
		key := d.reports[name].service.Key
		d.addressed[b.services[key].name] = true
		b.notify(b.takeService(catalog.Service{Key: key}, b.now()))
	}
	delete(d.addressed, mesh.Name{}) // of services that are merged, or not known any more
	for name := range d.addressed {
		_, _, _ = b.addresses.Take(name) // as it stands: that it can't be had isn't news
	}
	for name := range t.Addresses {
		if name.Source == source {
			d.addressed[name] = true
		}
	}
	b.metrics.lastKnownGood(source, t.Changed)
}

// watchDoubts asks the sources that are in doubt whether they are in touch again, until ctx ends.
func (b *Engine) watchDoubts(ctx context.Context) error {
	ticker := time.NewTicker(touchAgain)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		b.mu.RLock()
		doubtful := slices.Sorted(maps.Keys(b.doubts))
		b.mu.RUnlock()
		if len(doubtful) == 0 {
			continue
		}
		still := b.outOfTouch(ctx, doubtful)
		for _, source := range doubtful {
			if !slices.Contains(still, source) {
				b.inbox.trust(source)
			}
		}
	}
}

// settle has a source that is in touch again count, if it was in doubt.
func (b *Engine) settle(source string) {
	d := b.doubts[source]
	if d == nil {
		return
	}
	b.mu.Lock()
	delete(b.doubts, source)
	b.mu.Unlock()
	b.log.Info("the source is in touch with its registry again", "source", source)
	for _, name := range slices.Sorted(maps.Keys(d.reports)) {
		b.takeReport(d.reports[name])
	}
	if d.synced {
		b.takeSynced(source, d.whole)
	}
	for name := range d.addressed {
		if len(b.Desired(name).Objects) == 0 {
			b.addresses.Release(name, b.now())
		}
	}
}
