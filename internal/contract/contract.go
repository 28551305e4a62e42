package contract

import (
	"context"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A Source reports a registry's whole content first, then every change, until ctx ends. An error is never a
// deletion: trouble with the registry is the source's to report and to retry.
type Source interface {
	Name() string
	Run(ctx context.Context, sink catalog.Sink) error
}

// An Output makes the mesh hold exactly the resources that the state has for a service, and nothing else of
// ours. Trouble with one service is the output's to report and to retry, and delays no other service.
type Output interface {
	// Notify says that the resources of a service may have changed. It returns at once.
	Notify(name mesh.Name)
	// Synced says that one more source has reported its whole content: what stands in the mesh and isn't
	// desired is now known to be gone. It returns at once.
	Synced()
	// Run writes until ctx ends.
	Run(ctx context.Context, state State) error
	// Ready returns nil once everything that was known when the sources had reported is written.
	Ready() error
}

// State is what outputs read.
type State interface {
	// Desired returns what the mesh should hold for a service now.
	Desired(name mesh.Name) Desired
	// Names returns all services that have resources, sorted.
	Names() []mesh.Name
	// Complete tells whether the whole content of every source is known: it has reported it, or the last known good
	// stands for it.
	Complete() bool
	// Restored tells whether the last known good stands for every source that hasn't reported its whole content, though
	// it may not be whole: what is missing there may be there all the same.
	Restored() bool
	// Written says that an output holds a revision of a service. It returns since when the output was behind;
	// the zero time where it was not.
	Written(name mesh.Name, revision uint64) (since time.Time)
}

// Desired is what the mesh should hold for one service.
type Desired struct {
	mesh.Resources
	// Authoritative is false while the absence of the service says nothing: its source has not reported everything,
	// or it is no source of ours. What stands in the mesh then stays, and the resources are that, as far as it is known.
	Authoritative bool
	// Stable says that the resources, where there are any, are what the service is called by: nothing that isn't known
	// yet can change that. Its sources have reported everything, or the last known good stands for them.
	Stable bool
	// YieldedHosts are the hosts among those of the resources that are somebody else's in the mesh: nobody is sent to the
	// service by them.
	YieldedHosts []string
	// PendingSources are the sources, of those that the service is merged of, that have not reported everything: what
	// stands in the mesh of their instances stays.
	PendingSources []string
	// Revision grows with every change of the resources.
	Revision uint64
}

// A ConnectionChecker is a Source that can tell whether what it reported is what the registry says now.
type ConnectionChecker interface {
	// Connected returns nil where that is so. It asks the registry.
	Connected(ctx context.Context) error
}
