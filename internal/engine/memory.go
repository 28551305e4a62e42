package engine

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// forgetful is the memory of a run that has none.
type forgetful struct{}

func (forgetful) Load(context.Context) (contract.Snapshot, error) { return contract.Snapshot{}, nil }
func (forgetful) Save(contract.Change)                            {}
func (forgetful) Run(context.Context, contract.Feedback) error    { return nil }

// recall begins with what was remembered.
func (b *Engine) recall(ctx context.Context) error {
	recollection, err := b.options.Memory.Load(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	b.forgetSources(recollection)
	b.recallAddresses(recollection.Addresses)
	b.avoid(recollection.ForeignAddresses)
	standing := b.recallStanding(recollection.Live)
	bySource := map[string][]catalog.Service{}
	for _, service := range recollection.Services {
		bySource[service.Source] = append(bySource[service.Source], service)
	}
	for source, g := range b.guards {
		services := bySource[source]
		if len(services) == 0 {
			continue
		}
		hold := recollection.Holds[source]
		g.Restore(services, hold)
		b.showHold(source)
		b.mu.Lock()
		b.recalled[source] = recollection.Changed
		b.mu.Unlock()
		b.metrics.lastKnownGood(source, recollection.Changed)
		b.log.Info("the last known good stands until the source has reported its whole content",
			"source", source, "services", len(services), "last change", age(recollection.Changed))
		if hold.Since.IsZero() {
			continue
		}
		b.log.Warn("removals of before the start are still held", "source", source, "since", hold.Since,
			"instances", hold.Instances, "services", hold.Services, "why", hold.Reason)
	}
	if len(recollection.Holds) > len(b.holds) { // of sources that nothing stands of
		b.options.Memory.Save(contract.Change{Holds: maps.Clone(b.holds)})
	}
	b.notify(standing) // now that it is known to be the last known good
	now := time.Now()
	for _, source := range recollection.CompleteSources {
		if b.guards[source] == nil {
			continue // a source that was taken out of the configuration
		}
		for _, service := range bySource[source] {
			b.notify(b.takeService(service, now))
		}
		b.complete(source, true)
	}
	return nil
}

// forgetSources forgets what is remembered of sources that were taken out of the configuration. What stands of them in the
// mesh is somebody else's.
func (b *Engine) forgetSources(recollection contract.Snapshot) {
	gone := map[string]bool{}
	for _, service := range recollection.Services {
		gone[service.Source] = true
	}
	for _, source := range recollection.CompleteSources {
		gone[source] = true
	}
	maps.DeleteFunc(gone, func(source string, _ bool) bool { return b.guards[source] != nil })
	addresses := map[mesh.Name][]netip.Addr{}
	for name := range recollection.Addresses {
		if b.waiting(name.Source) == nil && recollection.Live[name] == nil {
			addresses[name] = nil
			delete(recollection.Addresses, name)
		}
	}
	if len(gone)+len(addresses) > 0 {
		b.options.Memory.Save(contract.Change{Gone: slices.Sorted(maps.Keys(gone)), Addresses: addresses})
	}
}

// recallStanding has what stands in the mesh stand for what has not been reported. It returns the services.
func (b *Engine) recallStanding(standing map[mesh.Name][]mesh.Object) []mesh.Name {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.standing, func(name mesh.Name, _ []mesh.Object) bool { return b.unsure(name) })
	for name, objects := range standing {
		if b.unsure(name) {
			b.standing[name] = objects
		}
	}
	return slices.Collect(maps.Keys(b.standing))
}

// unsure tells whether what stands of a service may be all that is known: not all of its sources have reported, or they
// can't read everything and don't know of it.
func (b *Engine) unsure(name mesh.Name) bool {
	if _, known := b.desired[name]; known && len(b.waiting(name.Source)) == 0 {
		return false
	}
	return b.waiting(name.Source) != nil &&
		slices.ContainsFunc(b.merger.members(name.Source), func(source string) bool { return !b.reportedAll[source] })
}

// forgetStanding forgets what stood of a source's services, or its group's, once all are known; of those alone that are
// known where not all are. It returns the services.
func (b *Engine) forgetStanding(source string, whole bool) (names []mesh.Name) {
	for name := range b.standing {
		if _, known := b.desired[name]; !known && !whole {
			continue
		}
		if slices.Contains(b.merger.members(name.Source), source) && len(b.waiting(name.Source)) == 0 {
			names = append(names, name)
			delete(b.standing, name)
		}
	}
	return names
}

func age(at time.Time) string {
	if at.IsZero() {
		return "unknown"
	}
	return fmt.Sprintf("%s (%s ago)", at.UTC().Format(time.RFC3339), time.Since(at).Round(time.Second))
}
