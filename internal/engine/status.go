package engine

import (
	"time"

	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// SourceStatus is the status of one source.
type SourceStatus struct {
	// Name is the name of the source.
	Name string `json:"name"`
	// Complete reports whether the source has reported its complete content in this run.
	Complete bool `json:"complete"`
	// LastKnownGood reports whether a last known good is used for content that the source has not reported.
	LastKnownGood bool `json:"lastKnownGood"`
	// LastChange is the time of the newest change in the last known good, if known.
	LastChange time.Time `json:"lastChange,omitzero"`
	// Age is the age of LastChange.
	Age string `json:"age,omitempty"`
	// Hold is the active hold, or nil.
	Hold *guard.Hold `json:"hold,omitempty"`
}

// Status returns the status of each source, sorted by name.
func (e *Engine) Status() []SourceStatus {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var all []SourceStatus
	for _, s := range e.sources {
		status := SourceStatus{Name: s.name, Complete: s.phase == complete, LastKnownGood: s.restoredAt != nil}
		if s.restoredAt != nil && !s.restoredAt.IsZero() {
			status.LastChange = *s.restoredAt
			status.Age = time.Since(*s.restoredAt).Round(time.Second).String()
		}
		if s.hold != nil {
			hold := *s.hold
			status.Hold = &hold
		}
		all = append(all, status)
	}
	return all
}
