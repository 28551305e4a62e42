package engine

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// retranslate brings one service's resources up to date and returns the names that changed by that.
func (b *Engine) retranslate(newest catalog.Service, observed time.Time) (changed []mesh.Name) {
	known, wasKnown := b.services[newest.Key]
	var (
		resources mesh.Resources
		made      = service{Service: newest}
		displaced []mesh.Name
	)
	if len(newest.Instances) > 0 {
		made.name = b.names.Of(newest.Key)
		resources, made.findings = mesh.Translate(newest, made.name, b.options.Mesh)
	}
	displaced = b.register(&made, known.clashes)
	if len(newest.Instances) > 0 {
		displaced = append(displaced, b.giveAddresses(&made, resources)...)
	}
	b.reportFindings(newest.Key, known.findings, made.findings)
	if wasKnown && known.name != made.name && b.vacate(known.name, newest.Key, observed) {
		changed = append(changed, known.name)
	}
	if resources.Broken {
		b.broken[made.name] = newest.Key
	} else if b.mended(made.name, newest.Key) {
		changed = append(changed, made.name) // its absence says something again
	}
	if len(newest.Instances) == 0 {
		if !wasKnown {
			return nil
		}
		delete(b.services, newest.Key)
		if b.doubts[newest.Source] == nil {
			b.log.Info("service left", "service", newest.Key)
		}
		return changed
	}
	b.services[newest.Key] = made
	if !wasKnown {
		b.log.Debug("service found", "service", newest.Key, "instances", len(newest.Instances))
	}
	if !resources.Broken && b.setDesired(made.name, newest.Key, resources, observed) {
		changed = append(changed, made.name)
	}
	return append(changed, b.moveAway(displaced, observed)...)
}

// mended forgets that a service's resources under a name are not known. It returns whether that was so.
func (b *Engine) mended(name mesh.Name, owner catalog.Key) bool {
	if b.broken[name] != owner {
		return false
	}
	delete(b.broken, name)
	return true
}

// vacate takes the resources of a service away from a name that it no longer has, unless another service has the
// name by now.
func (b *Engine) vacate(name mesh.Name, owner catalog.Key, observed time.Time) bool {
	mended := b.mended(name, owner)
	return b.desired[name].owner == owner && b.setDesired(name, owner, mesh.Resources{}, observed) || mended
}

// setDesired returns whether the resources differ from those that were desired before.
func (b *Engine) setDesired(name mesh.Name, owner catalog.Key, resources mesh.Resources, observed time.Time) bool {
	old := b.desired[name]
	if old.Equal(resources) {
		return false
	}
	b.metrics.changed(name.Source, observed)
	b.revision++
	if len(resources.Objects) == 0 {
		delete(b.desired, name)
		b.addresses.Release(name, b.now())
		return true
	}
	if len(b.waiting(name.Source)) == 0 {
		delete(b.standing, name)
	}
	since := old.since
	if since.IsZero() {
		since = observed
	}
	b.desired[name] = desiredState{contract.Desired{Resources: resources, Authoritative: true, Revision: b.revision}, owner, since}
	return true
}

// reportFindings logs each finding when it comes up, not each time it is seen again.
func (b *Engine) reportFindings(key catalog.Key, before, after []mesh.Finding) {
	for _, finding := range after {
		b.metrics.finding(key.Source, finding.Reason, float64(finding.Count))
		if slices.ContainsFunc(before, finding.Same) {
			continue
		}
		level := slog.LevelWarn
		if finding.Reason == mesh.ReservedLabel || finding.Reason == mesh.BadLabel {
			level = slog.LevelInfo
		}
		attrs := []any{"service", key, "reason", finding.Reason, "subject", finding.Subject, "detail", finding.Detail}
		if finding.Count > 1 {
			attrs = append(attrs, "count", finding.Count)
		}
		b.log.Log(context.Background(), level, "not taken over as registered", attrs...)
	}
	for _, finding := range before {
		b.metrics.finding(key.Source, finding.Reason, -float64(finding.Count))
	}
}
