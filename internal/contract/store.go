package contract

import (
	"context"
	"net/netip"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A Store keeps the last known good across restarts of the process.
type Store interface {
	// Load returns the state of the previous run. It may block until the state is readable. It returns an error only if
	// a retry can't help.
	Load(ctx context.Context) (Snapshot, error)
	// Save records a change. It doesn't block; Run writes the change.
	Save(change Change)
	// Run writes saved changes and passes feedback to the engine until ctx ends.
	Run(ctx context.Context, feedback Feedback) error
}

// Snapshot is the last known good.
type Snapshot struct {
	// Services are the services in the mesh, by the source that reported them.
	Services []catalog.Service
	// CompleteSources lists the sources for which Services holds the complete content. The engine serves these services
	// until the source has reported. It uses the services of other sources for comparison only.
	CompleteSources []string
	// Holds are the active holds, by source.
	Holds map[string]guard.Hold
	// Addresses are the virtual addresses of services, including services that left recently.
	Addresses map[mesh.Name][]netip.Addr
	// Names are the names of services in the mesh that do not follow from their registered names, by keys in lower case.
	Names map[catalog.Key]mesh.Name
	// TagHosts are the tags of services that have hosts of their own.
	TagHosts map[mesh.Name][]string
	// PodAddresses are the addresses for which services have inline endpoints. A store with Live can leave them out.
	PodAddresses map[mesh.Name]netip.Addr
	// Live are the live objects of services. It may hold services that Services doesn't, and may be partial.
	Live map[mesh.Name][]mesh.Object
	// ForeignAddresses are the addresses that objects of others use in the mesh.
	ForeignAddresses []netip.Prefix
	// Changed is the time of the newest change in the snapshot.
	Changed time.Time
}

// Change is an update to the last known good.
type Change struct {
	// Services are the newest accepted states of services.
	Services []catalog.Service
	// Synced is the source that has just become complete, or empty.
	Synced string
	// Gone lists the sources that are no longer configured. Forget their services.
	Gone []string
	// Holds are all active holds, by source. Nil means that they didn't change.
	Holds map[string]guard.Hold
	// Addresses are new virtual addresses of services. An empty list means that the service gave its addresses back.
	Addresses map[mesh.Name][]netip.Addr
	// Names are new names of services in the mesh, by keys in lower case. The zero name means that the service is gone, or
	// that its name follows from the registered name.
	Names map[catalog.Key]mesh.Name
	// TagHosts are the tags of services that have hosts of their own now. An empty list means that the service has none.
	TagHosts map[mesh.Name][]string
	// PodAddresses are the addresses for which services have inline endpoints. The zero address means that there is none.
	PodAddresses map[mesh.Name]netip.Addr
}
