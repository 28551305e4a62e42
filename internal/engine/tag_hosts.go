package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// formerTags returns the tags that have hosts of their own before a translation: the hosts stay while no instance has the
// tag. The caller holds Engine.mu.
func (e *Engine) formerTags(known *serviceState, name mesh.Name) []string {
	if known != nil {
		return known.tags
	}
	return e.restoredTags[name]
}

// setTags sets the desired objects of the tags of a service, and removes those of tags that no longer have a host. It
// returns the names whose objects changed. The caller holds Engine.mu.
func (e *Engine) setTags(known, next *serviceState, resources mesh.Resources, observed time.Time) (changed []mesh.Name) {
	former := e.formerTags(known, next.name)
	if resources.Broken { // the live objects stay
		next.tags = former
		for _, tag := range former {
			e.setUntranslatable(next.name.OfTag(tag), next.Key, true)
		}
		return nil
	}
	for _, host := range resources.TagHosts {
		name := next.name.OfTag(host.Tag)
		next.tags = append(next.tags, host.Tag)
		ended := e.setUntranslatable(name, next.Key, false)
		if e.setDesired(name, next.Key, mesh.Resources{Objects: host.Objects}, observed) || ended {
			changed = append(changed, name)
		}
	}
	if known != nil && known.name != next.name {
		former = nil // stored under the earlier name
	} else if known != nil {
		changed = append(changed, e.releaseTags(known, next.Key, next.tags, observed)...)
	}
	e.saveTags(next.name, former, next.tags)
	return changed
}

// releaseTags removes the objects of the tags that a service had, except for those to keep. It returns the names whose
// objects changed. The caller holds Engine.mu.
func (e *Engine) releaseTags(known *serviceState, owner catalog.Key, keep []string, observed time.Time) (changed []mesh.Name) {
	for _, tag := range known.tags {
		if name := known.name.OfTag(tag); !slices.Contains(keep, tag) && e.releaseName(name, owner, observed) {
			changed = append(changed, name)
		}
	}
	return changed
}

// saveTags stores the tags with hosts of a service if they have changed. The caller holds Engine.mu.
func (e *Engine) saveTags(name mesh.Name, before, after []string) {
	delete(e.restoredTags, name)
	if !slices.Equal(before, after) {
		e.options.Store.Save(contract.Change{TagHosts: map[mesh.Name][]string{name: after}})
	}
}

// restoreTags continues with the tags of an earlier run. The caller holds Engine.mu.
func (e *Engine) restoreTags(tags map[mesh.Name][]string) {
	for name, all := range tags {
		e.restoredTags[name] = slices.Sorted(slices.Values(all))
	}
}

// takeOverTags continues with the tags of the leader.
func (e *Engine) takeOverTags(tags map[mesh.Name][]string) {
	var affected []catalog.Key
	e.mu.Lock()
	e.restoreTags(tags)
	for name, all := range tags {
		known, ok := e.services[e.byName[name].owner]
		if !ok {
			continue
		}
		before := len(known.tags)
		known.tags = slices.Compact(slices.Sorted(slices.Values(slices.Concat(known.tags, all))))
		if len(known.tags) != before {
			affected = append(affected, known.Key)
		}
	}
	e.mu.Unlock()
	slices.SortFunc(affected, catalog.Key.Compare)
	for _, key := range affected {
		e.retranslate(key, e.now())
	}
	for _, s := range e.sources {
		if name := cmp.Or(e.merger.groups[s.name], s.name); len(e.pendingSources(name)) == 0 {
			e.forgetRestoredTags(name)
		}
	}
}

// forgetRestoredTags forgets the tags of services that a source, or its group, did not report. The caller holds Engine.mu.
func (e *Engine) forgetRestoredTags(source string) {
	for name, tags := range e.restoredTags {
		if name.Source == source {
			e.saveTags(name, tags, nil)
		}
	}
}

// subjectOf returns the subject of a finding about a name: the tag, if it is the name of a tag's hosts.
func subjectOf(name mesh.Name) string {
	if name.Tag == "" {
		return ""
	}
	return "tag " + name.Tag
}
