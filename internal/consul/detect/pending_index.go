package detect

import (
	"slices"
	"time"
)

const (
	// minAttributionTimeout is the shortest time that a change of the list waits for the response of the service that changed.
	minAttributionTimeout = 20 * time.Millisecond
	// MaxAttributionTimeout is the longest such time.
	MaxAttributionTimeout = 250 * time.Millisecond
	// maxAttributed bounds the number of indexes of responses that are kept.
	maxAttributed = 1024
)

// pendingIndexes are the changes of the list that are not attributed to a service.
type pendingIndexes struct {
	pending    []pendingIndex
	attributed []uint64
}

// pendingIndex is an index of the list and the time until which it waits.
type pendingIndex struct {
	index uint64
	until time.Time
}

// add adds an index, unless it is attributed already.
func (p *pendingIndexes) add(index uint64, until time.Time) {
	if !slices.Contains(p.attributed, index) {
		p.pending = append(p.pending, pendingIndex{index, until})
	}
}

// attribute removes an index that a service's response has.
func (p *pendingIndexes) attribute(index uint64) {
	p.pending = slices.DeleteFunc(p.pending, func(i pendingIndex) bool { return i.index == index })
	if len(p.attributed) == maxAttributed {
		p.attributed = append(p.attributed[:0], p.attributed[maxAttributed/2:]...)
	}
	p.attributed = append(p.attributed, index)
}

// expire removes the indexes that were not attributed in time. It reports whether there were any, and returns the time until
// which the next one waits.
func (p *pendingIndexes) expire(now time.Time) (expired bool, next time.Time) {
	before := len(p.pending)
	p.pending = slices.DeleteFunc(p.pending, func(i pendingIndex) bool { return !now.Before(i.until) })
	if len(p.pending) == 0 {
		return before > 0, time.Time{}
	}
	return len(p.pending) < before, p.pending[0].until
}
