package daemon

import "github.com/isthmus-mesh/isthmus/internal/engine"

// status is the content of /status.
type status struct {
	Sources []engine.SourceStatus `json:"sources"`
	// Conflicts lists the first conflicts with other objects.
	Conflicts any `json:"conflicts,omitempty"`
	// ConflictCount is the number of all conflicts.
	ConflictCount int `json:"conflictCount,omitempty"`
}

func newStatus(e *engine.Engine, conflicts func() (any, int)) status {
	s := status{Sources: e.Status()}
	if conflicts == nil {
		return s
	}
	if first, count := conflicts(); count > 0 {
		s.Conflicts, s.ConflictCount = first, count
	}
	return s
}
