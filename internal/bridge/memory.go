package bridge

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A Memory outlives the process: it knows what the mesh held and which disappearances are held back.
type Memory interface {
	// Recall returns what was remembered before this run. It may wait until that can be read, and fails only for what
	// a retry can't mend.
	Recall(ctx context.Context) (Recollection, error)
	// Remember takes what changed. It returns at once.
	Remember(change Change)
	// Run keeps what it is told, and tells the listener what others decide, until ctx ends.
	Run(ctx context.Context, listener Listener) error
}

// A Listener is told what others decide about what is remembered. Its methods return at once, unless they say otherwise.
type Listener interface {
	// Release lets go what is held of a source, because somebody released it.
	Release(source string)
	// Heed takes whose hosts and virtual addresses are in the mesh. What it returns is closed once that is taken in.
	Heed(news News) (taken <-chan struct{})
	// InTouch tells whether what is known is what the registries say now. It asks them, and waits for some seconds.
	InTouch(ctx context.Context) bool
	// TakeOver goes on from what the mesh holds by now: another isthmus wrote it, and from now on this one does. It returns
	// once that is taken in.
	TakeOver(ctx context.Context, now Recollection)
}

// Recollection is the last known good.
type Recollection struct {
	// Services are what the mesh held, by the sources that reported them.
	Services []catalog.Service
	// Whole are the sources of which Services is the whole content, as it was reported: they are served until the
	// source itself has reported. What others have there is only compared with what they report.
	Whole []string
	// Holds are the holds in force, by source.
	Holds map[string]guard.Hold
	// Addresses are the virtual addresses that services have, or had before they left.
	Addresses map[mesh.Name][]netip.Addr
	// Standing is what the mesh holds of services. It says more of them than Services, but need not be the whole.
	Standing map[mesh.Name][]mesh.Object
	// Others are the addresses that somebody else's objects have in the mesh.
	Others []netip.Prefix
	// Changed is when the newest of it was written.
	Changed time.Time
}

// Change is what is to be remembered.
type Change struct {
	// Services are the newest states of services, as they are believed.
	Services []catalog.Service
	// Synced is a source that has reported its whole content; empty for none.
	Synced string
	// Gone are sources that were taken out of the configuration: what they reported is not needed any more.
	Gone []string
	// Holds are all holds in force; nil where they didn't change.
	Holds map[string]guard.Hold
	// Addresses are the virtual addresses that services took; none for a service whose addresses were given back.
	Addresses map[mesh.Name][]netip.Addr
}

// forgetful is the memory of a run that has none.
type forgetful struct{}

func (forgetful) Recall(context.Context) (Recollection, error) { return Recollection{}, nil }
func (forgetful) Remember(Change)                              {}
func (forgetful) Run(context.Context, Listener) error          { return nil }

// recall begins with what was remembered.
func (b *Bridge) recall(ctx context.Context) error {
	recollection, err := b.options.Memory.Recall(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	b.forgetSources(recollection)
	b.recallAddresses(recollection.Addresses)
	b.avoid(recollection.Others)
	standing := b.recallStanding(recollection.Standing)
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
		g.Recall(services, hold)
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
		b.options.Memory.Remember(Change{Holds: maps.Clone(b.holds)})
	}
	b.notify(standing) // now that it is known to be the last known good
	now := time.Now()
	for _, source := range recollection.Whole {
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
func (b *Bridge) forgetSources(recollection Recollection) {
	gone := map[string]bool{}
	for _, service := range recollection.Services {
		gone[service.Source] = true
	}
	for _, source := range recollection.Whole {
		gone[source] = true
	}
	maps.DeleteFunc(gone, func(source string, _ bool) bool { return b.guards[source] != nil })
	addresses := map[mesh.Name][]netip.Addr{}
	for name := range recollection.Addresses {
		if b.waiting(name.Source) == nil && recollection.Standing[name] == nil {
			addresses[name] = nil
			delete(recollection.Addresses, name)
		}
	}
	if len(gone)+len(addresses) > 0 {
		b.options.Memory.Remember(Change{Gone: slices.Sorted(maps.Keys(gone)), Addresses: addresses})
	}
}

// recallStanding has what stands in the mesh stand for what has not been reported. It returns the services.
func (b *Bridge) recallStanding(standing map[mesh.Name][]mesh.Object) []mesh.Name {
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
func (b *Bridge) unsure(name mesh.Name) bool {
	if _, known := b.desired[name]; known && len(b.waiting(name.Source)) == 0 {
		return false
	}
	return b.waiting(name.Source) != nil &&
		slices.ContainsFunc(b.merger.members(name.Source), func(source string) bool { return !b.reportedAll[source] })
}

// forgetStanding forgets what stood of a source's services, or its group's, once all are known; of those alone that are
// known where not all are. It returns the services.
func (b *Bridge) forgetStanding(source string, whole bool) (names []mesh.Name) {
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
