package contract

import (
	"context"
	"maps"
	"net/netip"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A Releaser accepts requests to release held removals.
type Releaser interface {
	// Release confirms the held removals of a source. It doesn't block.
	Release(source string)
}

// A ConflictReporter accepts reports of conflicts with objects of others in the mesh.
type ConflictReporter interface {
	// ReportConflicts passes conflicts to the engine. It doesn't block. The returned channel is closed once the desired
	// state reflects the conflicts.
	ReportConflicts(conflicts Conflicts) (applied <-chan struct{})
}

// Feedback is the path from the mesh back to the engine. A store or an output that watches the cluster reports release
// requests, conflicts and changes of leadership here.
type Feedback interface {
	Releaser
	ConflictReporter
	// Connected reports whether the state of all sources is current. It queries the registries and blocks for at most a
	// few seconds.
	Connected(ctx context.Context) bool
	// TakeOver continues from a snapshot of the mesh that another replica wrote. It returns once the desired state
	// reflects the snapshot.
	TakeOver(ctx context.Context, snapshot Snapshot)
}

// Conflicts lists hosts and virtual addresses that this process doesn't decide on alone.
type Conflicts struct {
	// ForeignAddresses returns all addresses that objects of others use. No service gets one of them. Nil means that
	// they didn't change.
	ForeignAddresses func() []netip.Prefix
	// LostAddresses are addresses of services that now belong to objects of others. The services get new addresses.
	LostAddresses map[mesh.Name][]netip.Addr
	// LeaderAddresses are the addresses that the leading replica assigned to services.
	LeaderAddresses map[mesh.Name][]netip.Addr
	// YieldedHosts are the hosts of services that belong to objects of others. An empty list means that the service has
	// all of its hosts.
	YieldedHosts map[mesh.Name][]string
}

// Merge adds newer conflicts to c. A newer value replaces the earlier value of the same service.
func (c *Conflicts) Merge(newer Conflicts) {
	if newer.ForeignAddresses != nil {
		c.ForeignAddresses = newer.ForeignAddresses
	}
	merge(&c.LostAddresses, newer.LostAddresses)
	merge(&c.LeaderAddresses, newer.LeaderAddresses)
	merge(&c.YieldedHosts, newer.YieldedHosts)
}

func merge[V any](all *map[mesh.Name]V, newer map[mesh.Name]V) {
	if *all == nil && len(newer) > 0 {
		*all = map[mesh.Name]V{}
	}
	maps.Copy(*all, newer)
}
