package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// take brings reports past the guard into the state, and tells the outputs which services they changed. It is called by
// one goroutine only. The lock is held for one service at a time, so that readers wait for no burst.
func (b *Engine) take(unread letters) {
	if unread.rules != nil {
		b.takeRules(*unread.rules)
	}
	for _, update := range unread.updates {
		b.takeReport(update)
	}
	for source, whole := range unread.synced {
		b.takeSynced(source, whole)
	}
	for _, source := range unread.trusted {
		b.settle(source)
	}
	if unread.takeover != nil {
		b.takeTakeover(*unread.takeover)
	}
	for _, source := range unread.released {
		b.takeRelease(source)
	}
	b.takeNews(unread.news)
	if unread.read != nil {
		close(unread.read)
	}
}

// takeReport has the guard judge a report, and takes what it believes.
func (b *Engine) takeReport(update update) {
	report := update.service
	g := b.guards[report.Source]
	if g == nil {
		return // no source of ours: nobody could say when it is complete
	}
	b.metrics.reported(report.Source, b.reported[report.Key], len(report.Instances))
	if b.reported[report.Key] = len(report.Instances); len(report.Instances) == 0 {
		delete(b.reported, report.Key)
	}
	if d := b.doubts[report.Source]; d != nil {
		update.service = report.Apply(d.reports[report.Name].service)
		d.reports[report.Name] = update
		return
	}
	b.accept(report.Source, g.Report(b.now(), report), update.observed)
}

func (b *Engine) notify(changed []mesh.Name) {
	for _, output := range b.outputs {
		for _, name := range changed {
			output.Notify(name)
		}
	}
}

// takeRules judges by new rules and translates every service anew. What comes out as before is no change.
func (b *Engine) takeRules(rules Rules) {
	b.options.Rules = rules
	now := time.Now()
	for source, g := range b.guards {
		b.ending = "the guard was switched off"
		b.accept(source, g.SetOptions(rules.guard()), now)
	}
	for _, key := range slices.SortedFunc(maps.Keys(b.services), catalog.Key.Compare) {
		b.mu.Lock()
		changed := b.retranslate(b.services[key].Service, now)
		b.mu.Unlock()
		b.notify(changed)
	}
}

// takeService returns the names whose resources changed: none, the service's, or those of the services that
// would like the same name too.
func (b *Engine) takeService(report catalog.Service, observed time.Time) []mesh.Name {
	b.mu.Lock()
	defer b.mu.Unlock()
	service := b.merger.merge(report)
	key := service.Key
	var affected []catalog.Key
	if len(service.Instances) == 0 {
		affected = b.names.Remove(key)
	} else {
		affected = b.names.Add(key)
	}
	changed := b.retranslate(service, observed)
	for _, other := range affected {
		if known, ok := b.services[other]; ok && other != key && known.name != b.names.Of(other) {
			changed = append(changed, b.retranslate(known.Service, observed)...)
		}
	}
	return changed
}

// takeSynced has the guard judge what a source that is complete left out. What may only have been hidden from it goes on
// as it was recalled.
func (b *Engine) takeSynced(source string, whole bool) {
	g := b.guards[source]
	if g == nil {
		return
	}
	if d := b.doubts[source]; d != nil {
		d.synced, d.whole = true, whole || d.whole
		return
	}
	hold, _ := g.Hold()
	if hold.Released {
		b.ending = "somebody released it before the source was read"
	}
	b.mu.Lock()
	if b.reportedAll[source] = whole; whole {
		delete(b.recalled, source)
	}
	b.mu.Unlock()
	if whole {
		b.metrics.lastKnownGood(source, time.Time{})
	}
	b.accept(source, g.Synced(b.now(), whole), time.Now())
	b.options.Memory.Save(contract.Change{Synced: source})
	if recalled := g.RestoredServices(); recalled > 0 {
		b.log.Warn("services that the source can't read stay as they were before the start", "source", source, "services", recalled)
	}
	b.log.Debug("source reported its content", "source", source, "whole", whole)
	b.complete(source, whole)
}

// complete marks a source as complete and tells the outputs to look at everything: what stands in the mesh
// and is not desired is now known to be gone, unless it may only have been hidden.
func (b *Engine) complete(source string, whole bool) {
	b.mu.Lock()
	b.synced[source] = true
	var merged []mesh.Name // what waited for this source may be completed now
	if group := b.merger.groups[source]; group != "" {
		for name := range b.desired {
			if name.Source == group {
				merged = append(merged, name)
			}
		}
	}
	b.settleAddresses(source)
	stood := b.forgetStanding(source, whole)
	b.mu.Unlock()
	b.notify(append(merged, stood...))
	for _, output := range b.outputs {
		output.Synced()
	}
}
