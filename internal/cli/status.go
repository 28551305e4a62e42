package cli

import (
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/engine"
	"github.com/isthmus-mesh/isthmus/internal/kube"
	"github.com/isthmus-mesh/isthmus/internal/kube/conflict"
)

// status is what /status says.
type status struct {
	Sources []engine.SourceStatus `json:"sources"`
	// Conflicts are the first of those that ConflictCount counts.
	Conflicts     []conflict.Conflict `json:"conflicts,omitempty"`
	ConflictCount int                 `json:"conflictCount,omitempty"`
}

func statusOf(b *engine.Engine, out contract.Output) status {
	now := status{Sources: b.Status()}
	if cluster, ok := out.(*kube.Output); ok {
		now.Conflicts, now.ConflictCount = cluster.Conflicts()
	}
	return now
}
