package consul

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/wait"
)

const (
	// progressInterval is the interval at which a long initial sync logs its progress.
	progressInterval = 2 * time.Second
	// maxPollDelay is how long polls wait for the first reads. A first poll costs Consul more than a read, and ten thousand
	// polls together would delay the reads.
	maxPollDelay = 15 * time.Second
	// pollBurst is the number of polls that may begin together; one more begins each pollInterval.
	pollBurst    = 1000
	pollInterval = time.Millisecond
)

// readStatus is the status of a service that the initial sync has not read.
type readStatus int

const (
	// unread services are waited for.
	unread readStatus = iota
	// failing services could not be read a few times. They are skipped if the list can be read.
	failing
	// skipped services cannot be read and are not waited for.
	skipped
)

// syncState is the content that was reported as complete.
type syncState int

const (
	notSynced syncState = iota
	// syncedPartial: the services that ACLs show.
	syncedPartial
	// syncedComplete: all services.
	syncedComplete
)

// initialSync is the progress of the first reads of all services. Source.mu guards it.
type initialSync struct {
	// pending has the services of the first list that are not read; nil before the first list.
	pending map[string]readStatus
	// count is the number of pending services by status.
	count map[readStatus]int
	// read has the services that are read, until a complete list was accepted; then it is nil.
	read map[string]bool
	// total is the number of services in the list.
	total int
	// loggedAt is when the progress was logged.
	loggedAt time.Time
	// complete means that a list was accepted that no ACL reduced.
	complete bool
	// reported is the state that was reported to the sink.
	reported syncState
	// outstanding is the number of services in the first list without any response.
	outstanding int
	// pollsOpen is closed when outstanding is 0, or after maxPollDelay.
	pollsOpen chan struct{}
	openOnce  sync.Once
}

func newInitialSync() *initialSync {
	return &initialSync{pollsOpen: make(chan struct{}), count: map[readStatus]int{}, read: map[string]bool{}}
}

// begin handles a list and reports whether it is the first. Only the first list, and the first complete one, are waited for.
func (p *initialSync) begin(names map[string]uint64, complete bool) bool {
	first := p.pending == nil
	if !first && (p.complete || !complete) {
		return false
	}
	before := p.pending
	p.pending, p.count = make(map[string]readStatus, len(names)), map[readStatus]int{}
	for name := range names {
		if !p.read[name] {
			p.set(name, before[name])
		}
	}
	if p.complete = complete; complete {
		p.read = nil
	}
	if p.total = len(names); !first {
		return false
	}
	p.loggedAt, p.outstanding = time.Now(), len(names)
	if len(names) == 0 {
		p.openPolls()
		return true
	}
	time.AfterFunc(maxPollDelay, p.openPolls)
	return true
}

// reopen makes the next complete list one that is waited for. The read services are those that were read.
func (p *initialSync) reopen(read map[string]bool) {
	p.complete, p.reported, p.read = false, syncedPartial, read
}

// set sets the status of a pending service.
func (p *initialSync) set(name string, status readStatus) {
	p.remove(name)
	p.pending[name] = status
	p.count[status]++
}

// remove removes a service that is not pending anymore.
func (p *initialSync) remove(name string) {
	if status, ok := p.pending[name]; ok {
		p.count[status]--
		delete(p.pending, name)
	}
}

// names returns the pending services with a status, sorted.
func (p *initialSync) names(status readStatus) []string {
	var names []string
	for name, s := range p.pending {
		if s == status {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (p *initialSync) openPolls() { p.openOnce.Do(func() { close(p.pollsOpen) }) }

// onlyFailing reports whether all unread services are failing and they are the smaller part. Otherwise Consul itself fails.
func (p *initialSync) onlyFailing() bool {
	return p.count[failing] > 0 && p.count[unread] == 0 && len(p.pending) <= p.total/2
}

// firstAnswer records that the first request of a service was answered, with success or not.
func (s *Source) firstAnswer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sync.outstanding--; s.sync.outstanding == 0 {
		s.sync.openPolls()
	}
}

// waitForReads waits until the first reads of all services are over. If there are many services, it then waits for a random
// time to spread the first polls.
func (s *Source) waitForReads(ctx context.Context) error {
	select {
	case <-s.sync.pollsOpen:
		return nil
	default:
	}
	select {
	case <-s.sync.pollsOpen:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.mu.Lock()
	spread := time.Duration(max(0, s.sync.total-pollBurst)) * pollInterval
	s.mu.Unlock()
	if spread > 0 && !wait.Sleep(ctx, rand.N(spread)) {
		return context.Cause(ctx)
	}
	return nil
}

// serviceSynced records that the first content of a service is reported, or that none is waited for.
func (s *Source) serviceSynced(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sync.remove(name)
	if s.sync.read != nil {
		s.sync.read[name] = true
	}
	s.reportSynced()
}

// skip makes the initial sync not wait for a service that cannot be read because of its own content.
func (s *Source) skip(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, pending := s.sync.pending[name]; pending {
		s.sync.set(name, skipped)
		s.reportSynced()
	}
}

// recordFailure records that a service cannot be read. The list is read once all services that the initial sync waits for
// fail.
func (s *Source) recordFailure(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if status, pending := s.sync.pending[name]; !pending || status == skipped {
		return
	}
	if s.sync.set(name, failing); s.sync.onlyFailing() {
		s.list.Refresh()
	}
}

// skipFailing skips the failing services, because Consul answers the list. If Consul has just recovered, they are retried
// first.
func (s *Source) skipFailing(recovered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.sync
	status := skipped
	switch {
	case recovered:
		status = unread
	case !p.onlyFailing():
		return
	}
	for _, name := range p.names(failing) {
		p.set(name, status)
	}
	s.reportSynced()
}

// needsConsistentRead reports whether the response to a poll of the list must be confirmed by a read: the first complete list
// removes services.
func (s *Source) needsConsistentRead(complete bool, requestIndex uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return complete && requestIndex != 0 && !s.sync.complete
}

func (s *Source) isSynced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sync.reported != notSynced
}

// Log messages of the initial sync.
const (
	messageSyncProgress = "initial read in progress"
	messageSynced       = "initial read complete"
	messagePartial      = "initial read partial, keeping services that ACLs hide"
	messageLimited      = "initial read up to the limit of services, keeping services that were not read"
)

// reportSynced tells the sink when nothing is waited for anymore. Source.mu is held.
func (s *Source) reportSynced() {
	p := s.sync
	s.metrics.pending.Set(float64(len(p.pending)))
	if p.reported == syncedComplete || p.reported == syncedPartial && !p.complete {
		return
	}
	if len(p.pending) > p.count[skipped] {
		if time.Since(p.loggedAt) >= progressInterval {
			p.loggedAt = time.Now()
			s.log.Info(messageSyncProgress, "count", p.total-len(p.pending), "services", p.total)
		}
		return
	}
	if s.awaitsDefaults() || p.pending == nil { // the config entries may be known before the first list
		return
	}
	switch {
	case p.complete:
		p.reported = syncedComplete
		s.log.Info(messageSynced, "services", len(s.services))
	case s.waiting > 0:
		p.reported = syncedPartial
		s.log.Warn(messageLimited, "services", len(s.services), "pending", s.waiting, "limit", s.opts.Limits.Services)
	default:
		p.reported = syncedPartial
		s.log.Info(messagePartial, "services", len(s.services))
	}
	if names := slices.Sorted(maps.Keys(p.pending)); len(names) > 0 {
		s.log.Warn("initial read skipped unreadable services", "count", len(names), "service", names[0])
	}
	s.selector.Synced(s.opts.Name, p.complete)
}
