package detect

import "time"

// Status is the state of a Detector, for tests.
type Status struct {
	// NodeWatches is the number of watched nodes.
	NodeWatches int
	// ScanDemanded means that a scan is due.
	ScanDemanded bool
	// PendingIndexes is the number of changes that are not attributed.
	PendingIndexes int
	// ListChangedAt is the time of the last ListChanged.
	ListChangedAt time.Time
	// ScanEndedAt is the end of the last scan.
	ScanEndedAt time.Time
}

// Status returns the state.
func (d *Detector) Status() Status {
	d.mu.Lock()
	status := Status{NodeWatches: len(d.nodeWatches)}
	d.mu.Unlock()
	d.scanner.status(&status)
	return status
}
