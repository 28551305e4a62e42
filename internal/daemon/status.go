package daemon

import "github.com/isthmus-mesh/isthmus/internal/engine"

// status is the content of /status.
type status struct {
	Sources []engine.SourceStatus `json:"sources"`
	// Conflicts lists the first conflicts with other objects.
	Conflicts any `json:"conflicts,omitempty"`
	// ConflictCount is the number of all conflicts.
	ConflictCount int `json:"conflictCount,omitempty"`
	// Findings lists the first findings; those that need no action in most cases come last.
	Findings []engine.FindingStatus `json:"findings,omitempty"`
	// FindingCount is the number of all findings.
	FindingCount int `json:"findingCount,omitempty"`
}

// maxFindings is the number of findings in /status.
const maxFindings = 100

func newStatus(e *engine.Engine, conflicts func() (any, int)) status {
	s := status{Sources: e.Status()}
	s.Findings, s.FindingCount = e.Findings(maxFindings)
	if conflicts == nil {
		return s
	}
	if first, count := conflicts(); count > 0 {
		s.Conflicts, s.ConflictCount = first, count
	}
	return s
}
