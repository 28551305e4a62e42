package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// Release lets go what is held of a source. It returns at once.
func (b *Engine) Release(source string) { b.inbox.release(source) }

// accept takes what a guard hands on.
func (b *Engine) accept(source string, services []catalog.Service, observed time.Time) {
	for _, service := range services {
		b.notify(b.takeService(service, observed))
	}
	b.options.Memory.Save(contract.Change{Services: services})
	b.showHold(source)
}

// takeReleases lets go what somebody released.
func (b *Engine) takeRelease(source string) {
	g := b.guards[source]
	if g == nil {
		return
	}
	if _, held := g.Hold(); held {
		b.ending = "somebody released it"
		b.accept(source, g.Release(), b.now())
	}
}

// tick lets go what is due, and returns when more will be; the zero time where only a report can end what is held.
func (b *Engine) tick() (next time.Time) {
	now := b.now()
	next = b.expireAddresses(now)
	for _, source := range slices.Sorted(maps.Keys(b.guards)) {
		released, again := b.guards[source].Tick(now)
		if len(released) > 0 {
			b.ending = "what is still missing is little, or was held for as long as guard.releaseAfter says"
			b.accept(source, released, now)
		}
		if !again.IsZero() && (next.IsZero() || again.Before(next)) {
			next = again
		}
	}
	return next
}

// showHold tells the log, the metrics and the memory of a source's hold, if it is another one than before.
func (b *Engine) showHold(source string) {
	hold, held := b.guards[source].Hold()
	ending := b.ending
	b.ending = ""
	before, was := b.holds[source]
	if hold == before {
		return
	}
	b.mu.Lock()
	if held {
		b.holds[source] = hold
	} else {
		delete(b.holds, source)
	}
	holds := maps.Clone(b.holds)
	b.mu.Unlock()
	b.metrics.held(source, hold)
	b.options.Memory.Save(contract.Change{Holds: holds})
	switch {
	case held && (!was || !hold.Since.Equal(before.Since)):
		b.log.Error("a disappearance isn't believed: removals are held, additions and changes go on; "+
			"if it is meant, "+b.remedy(source), "source", source,
			"instances", hold.Instances, "services", hold.Services, "why", hold.Reason)
	case held && hold.Released && !before.Released:
		b.log.Info("what is held is released, and goes once the source has reported its whole content", "source", source)
	case !held:
		if ending == "" {
			ending = "the registry brought everything back"
		}
		b.log.Info("removals are no longer held", "source", source, "why", ending,
			"held for", max(0, b.now().Sub(before.Since)).Round(time.Second))
	}
}

// remedy is how to have a disappearance believed. Who has no memory can't be asked, and forgets what is held.
func (b *Engine) remedy(source string) string {
	if _, ok := b.options.Memory.(forgetful); ok {
		return "restart isthmus; with a state file it could be told to release " + source
	}
	return "run isthmus release " + source
}

// SourceStatus is what is to be told of one source.
type SourceStatus struct {
	Name string `json:"name"`
	// Complete says that it has reported its whole content in this run; else LastKnownGood tells whether what was
	// remembered stands for what it has not.
	Complete      bool `json:"complete"`
	LastKnownGood bool `json:"lastKnownGood"`
	// LastChange is when that last changed, and Age how long ago, where it is known.
	LastChange time.Time `json:"lastChange,omitzero"`
	Age        string    `json:"age,omitempty"`
	// Hold describes the removals that are held; nil where none are.
	Hold *guard.Hold `json:"hold,omitempty"`
}

// Status returns what is to be told of each source, sorted by name.
func (b *Engine) Status() []SourceStatus {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var all []SourceStatus
	for _, source := range slices.Sorted(maps.Keys(b.synced)) {
		changed, recalled := b.recalled[source]
		status := SourceStatus{Name: source, Complete: b.reportedAll[source], LastKnownGood: recalled, LastChange: changed}
		if !changed.IsZero() {
			status.Age = time.Since(changed).Round(time.Second).String()
		}
		if hold, held := b.holds[source]; held {
			status.Hold = &hold
		}
		all = append(all, status)
	}
	return all
}
