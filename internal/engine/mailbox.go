package engine

import (
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/wait"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
)

// mailbox collects the input of the loop. It keeps the newest unread report of each service. It is the catalog.Sink of
// all sources.
type mailbox struct {
	// wake receives a value when the mailbox has content.
	wake wait.Signal

	// mu guards pending. It is a leaf in the lock order: no other lock is acquired while it is held.
	mu      sync.Mutex
	pending batch
}

// batch is the input since the last call of drain.
type batch struct {
	// updates are the newest reports.
	updates map[catalog.Key]update
	// synced are the sources that have synced, and whether their content is complete.
	synced map[string]bool
	// released are the sources whose held removals an operator released.
	released []string
	// handover is the snapshot from which this replica takes over, or nil.
	handover *handover
	// connected are the quarantined sources that are connected again.
	connected []string
	// rules are new rules, or nil.
	rules *Rules
	// conflicts are the conflicts with objects of others.
	conflicts contract.Conflicts
	// conflictsApplied is closed once the conflicts are applied. It is nil if none were reported.
	conflictsApplied chan struct{}
}

// update is a report that the loop has not handled.
type update struct {
	service catalog.Service
	// observed is the arrival time of the first report that the update combines.
	observed time.Time
}

func newMailbox() mailbox {
	return mailbox{wake: wait.NewSignal(), pending: newBatch()}
}

func newBatch() batch { return batch{updates: map[catalog.Key]update{}} }

// add changes the pending batch and wakes the loop.
func (m *mailbox) add(change func(pending *batch)) {
	m.mu.Lock()
	change(&m.pending)
	m.mu.Unlock()
	m.wake.Notify()
}

// drain returns the pending batch and begins a new one.
func (m *mailbox) drain() batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	pending := m.pending
	m.pending = newBatch()
	return pending
}

// Update implements catalog.Sink.
func (m *mailbox) Update(service catalog.Service, observed time.Time) {
	m.add(func(pending *batch) {
		if earlier, ok := pending.updates[service.Key]; ok {
			service, observed = service.Merge(earlier.service), earlier.observed
		}
		pending.updates[service.Key] = update{service: service, observed: observed}
	})
}

// Synced implements catalog.Sink.
func (m *mailbox) Synced(source string, isComplete bool) {
	m.add(func(pending *batch) {
		if pending.synced == nil {
			pending.synced = map[string]bool{}
		}
		pending.synced[source] = isComplete || pending.synced[source]
	})
}

func (m *mailbox) release(source string) {
	m.add(func(pending *batch) { pending.released = append(pending.released, source) })
}

// takeOver replaces a pending handover: its term of leadership has ended.
func (m *mailbox) takeOver(h handover) {
	m.add(func(pending *batch) {
		if earlier := pending.handover; earlier != nil {
			close(earlier.done)
		}
		pending.handover = &h
	})
}

func (m *mailbox) setConnected(source string) {
	m.add(func(pending *batch) { pending.connected = append(pending.connected, source) })
}

func (m *mailbox) setRules(rules Rules) {
	m.add(func(pending *batch) { pending.rules = &rules })
}

func (m *mailbox) reportConflicts(conflicts contract.Conflicts) (applied <-chan struct{}) {
	m.add(func(pending *batch) {
		pending.conflicts.Merge(conflicts)
		if pending.conflictsApplied == nil {
			pending.conflictsApplied = make(chan struct{})
		}
		applied = pending.conflictsApplied
	})
	return applied
}
