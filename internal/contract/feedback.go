package contract

import (
	"context"
	"maps"
	"net/netip"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A Feedback is told what others decide about what is remembered. Its methods return at once, unless they say otherwise.
type Feedback interface {
	// Release lets go what is held of a source, because somebody released it.
	Release(source string)
	// ReportConflicts takes whose hosts and virtual addresses are in the mesh. What it returns is closed once that is taken in.
	ReportConflicts(news Conflicts) (taken <-chan struct{})
	// Connected tells whether what is known is what the registries say now. It asks them, and waits for some seconds.
	Connected(ctx context.Context) bool
	// TakeOver goes on from what the mesh holds by now: another isthmus wrote it, and from now on this one does. It returns
	// once that is taken in.
	TakeOver(ctx context.Context, now Snapshot)
}

// Conflicts is what became of hosts and virtual addresses in the mesh by somebody else's doing.
type Conflicts struct {
	// ForeignAddresses returns all addresses that somebody else's objects have now, where they changed; nil where they didn't. No
	// service is given one of them.
	ForeignAddresses func() []netip.Prefix
	// LostAddresses are addresses that are somebody else's though a service was given them: it takes others.
	LostAddresses map[mesh.Name][]netip.Addr
	// LeaderAddresses are the addresses that services have in the mesh, as another replica gave them.
	LeaderAddresses map[mesh.Name][]netip.Addr
	// YieldedHosts are the hosts of services that are left to somebody else's objects; none for a service that has all of its own.
	YieldedHosts map[mesh.Name][]string
}

// Merge overwrites c with the newer conflicts, key by key.
func (c *Conflicts) Merge(later Conflicts) {
	if later.ForeignAddresses != nil {
		c.ForeignAddresses = later.ForeignAddresses
	}
	addAll(&c.LostAddresses, later.LostAddresses)
	addAll(&c.LeaderAddresses, later.LeaderAddresses)
	addAll(&c.YieldedHosts, later.YieldedHosts)
}

func addAll[V any](all *map[mesh.Name]V, more map[mesh.Name]V) {
	if *all == nil && len(more) > 0 {
		*all = map[mesh.Name]V{}
	}
	maps.Copy(*all, more)
}
