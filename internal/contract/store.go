package contract

import (
	"context"
	"net/netip"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A Store outlives the process: it knows what the mesh held and which disappearances are held back.
type Store interface {
	// Load returns what was remembered before this run. It may wait until that can be read, and fails only for what
	// a retry can't mend.
	Load(ctx context.Context) (Snapshot, error)
	// Save takes what changed. It returns at once.
	Save(change Change)
	// Run keeps what it is told, and tells the listener what others decide, until ctx ends.
	Run(ctx context.Context, listener Feedback) error
}

// Snapshot is the last known good.
type Snapshot struct {
	// Services are what the mesh held, by the sources that reported them.
	Services []catalog.Service
	// CompleteSources are the sources of which Services is the whole content, as it was reported: they are served until the
	// source itself has reported. What others have there is only compared with what they report.
	CompleteSources []string
	// Holds are the holds in force, by source.
	Holds map[string]guard.Hold
	// Addresses are the virtual addresses that services have, or had before they left.
	Addresses map[mesh.Name][]netip.Addr
	// Live is what the mesh holds of services. It says more of them than Services, but need not be the whole.
	Live map[mesh.Name][]mesh.Object
	// ForeignAddresses are the addresses that somebody else's objects have in the mesh.
	ForeignAddresses []netip.Prefix
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
