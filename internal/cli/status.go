package cli

import (
	"github.com/isthmus-mesh/isthmus/internal/bridge"
	"github.com/isthmus-mesh/isthmus/internal/kube"
)

// status is what /status says.
type status struct {
	Sources []bridge.SourceStatus `json:"sources"`
	// Conflicts are the first of those that ConflictCount counts.
	Conflicts     []kube.Conflict `json:"conflicts,omitempty"`
	ConflictCount int             `json:"conflictCount,omitempty"`
}

func statusOf(b *bridge.Bridge, out bridge.Output) status {
	now := status{Sources: b.Status()}
	if cluster, ok := out.(*kube.Output); ok {
		now.Conflicts, now.ConflictCount = cluster.Conflicts()
	}
	return now
}
