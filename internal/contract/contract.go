// Package contract holds the interfaces between the engine and its neighbors. It is all that the author of a source, an
// output or a store must read.
//
//	Source ──Update, Synced──▶ engine ──Notify, Synced──▶ Output
//	                             │  ▲ ◀──Desired, Names────┘
//	                        Save ▼  │ Release, ReportConflicts, TakeOver (Feedback)
//	                            Store
//
// # Writing a source
//
//   - Report every service once, then call Sink.Synced, then report every change. A report replaces the earlier report
//     of the service; a report without instances says that the service is gone.
//   - Treat an error as missing information, never as a removal. Log it, keep the reported state and retry with backoff.
//   - If the registry hides content, for example because of ACLs, mark reports as Partial and call Synced with complete
//     set to false.
//   - Return from Run only when the context ends, or when a retry can't help.
//   - Implement [ConnectionChecker] if the registry can confirm that the reported state is current.
//
// # Writing an output
//
//   - Embed [WorkSet]: it implements Notify and Synced. Wait for WorkSet.Wake, call WorkSet.Drain and read the state of
//     each service.
//   - Read State.Desired at the moment of the write. A notification carries no state, so a burst of changes costs one
//     write.
//   - Delete an object only if Desired.Authoritative is true and the resources don't contain the object.
//   - Call State.Written after each write.
//   - Requeue a failed service with backoff and WorkSet.Add. One failing service must not delay another one.
package contract

import (
	"context"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A Source reports the complete content of a registry, and every change after that.
type Source interface {
	// Name returns the name of the source. It is unique within a process and doesn't change.
	Name() string
	// Run reports to sink until ctx ends. It returns an error only if a retry can't help.
	Run(ctx context.Context, sink catalog.Sink) error
}

// A ConnectionChecker is a Source that can confirm that its reports are current.
type ConnectionChecker interface {
	// Connected queries the registry. It returns nil if the reports match the current content of the registry.
	Connected(ctx context.Context) error
}

// A Preferrer is a Source that cannot read every service of a registry: it has a limit.
type Preferrer interface {
	// Prefer names the services that the mesh has, from the last known good or from the leading replica. The source reads
	// them before others. The engine calls it once at the start, also without services, and at each takeover.
	Prefer(services []string)
}

// An Output keeps the objects of a mesh equal to the desired state. It changes no object that isthmus didn't write.
type Output interface {
	// Notify adds a service to the work set: its desired state may have changed. It doesn't block.
	Notify(name mesh.Name)
	// Synced reports that one more source is complete. Objects without a desired state may now be removable, so the
	// output compares all of its objects. It doesn't block.
	Synced()
	// Run writes until ctx ends.
	Run(ctx context.Context, state State) error
	// Ready returns nil once the output has written the initial desired state of all sources.
	Ready() error
}

// A Reader gives access to the desired state.
type Reader interface {
	// Desired returns the newest desired state of a service.
	Desired(name mesh.Name) Desired
	// Names returns the names of all services that have resources, sorted.
	Names() []mesh.Name
}

// State is the engine as an output sees it. All methods are safe for concurrent use.
type State interface {
	Reader
	// Complete reports whether the complete content of every source is known, from the source or from the last known
	// good.
	Complete() bool
	// Restored reports whether every source is complete or has a last known good. The last known good may be partial,
	// so a missing service may still exist.
	Restored() bool
	// Written records that an output wrote a revision of a service. It returns the time of the first change that the
	// write contains, or the zero time if nothing was pending.
	Written(name mesh.Name, revision uint64) (since time.Time)
}

// Desired is the desired state of one service.
type Desired struct {
	mesh.Resources
	// Authoritative reports whether the absence of an object means that it is gone. It is false until the sources of the
	// service are complete, and always for services of unknown sources. Keep live objects while it is false. Resources
	// then hold the live objects, as far as they are known.
	Authoritative bool
	// Stable reports whether the names of the resources are final: each source of the service is complete or has a last
	// known good.
	Stable bool
	// YieldedHosts lists the hosts of the resources that belong to other objects in the mesh. Leave them out.
	YieldedHosts []string
	// PendingSources lists the sources of a merged service that aren't complete. Keep the live objects of their
	// instances.
	PendingSources []string
	// Revision increases with every change of the resources.
	Revision uint64
}
