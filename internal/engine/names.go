package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// renameKey moves the state of a service to another key. It is called when the registered name of the service changes its
// case. The caller holds Engine.mu.
func (e *Engine) renameKey(before, after catalog.Key) {
	known, ok := e.services[before]
	if !ok || before == after {
		return
	}
	delete(e.services, before)
	delete(e.budget.waiting, before) // the translation under the new key decides again
	known.Key = after
	e.services[after] = known
	if e.byName[known.name].owner == before {
		e.update(known.name, func(s *nameState) { s.owner = after })
	}
	if e.byName[known.name].untranslatable == before {
		e.update(known.name, func(s *nameState) { s.untranslatable = after })
	}
}

// restoreNames continues with the names of an earlier run or of the leader. It returns the services that may have got
// another name. The caller holds Engine.mu.
func (e *Engine) restoreNames(snapshot contract.Snapshot) (affected []catalog.Key) {
	for key, name := range snapshot.Names {
		affected = append(affected, e.names.Restore(key, name)...)
		e.savedNames[key] = name
	}
	for _, name := range slices.SortedFunc(maps.Keys(snapshot.Live), mesh.Name.Compare) {
		if registered := mesh.RegisteredName(snapshot.Live[name]); registered != "" && name.Tag == "" {
			affected = append(affected, e.names.Restore(catalog.Key{Source: name.Source, Name: registered}, name)...)
		}
	}
	return affected
}

// freezeNames fixes the names of a source's services, or of its group's, once none of its sources is pending. It returns
// the names whose objects changed. The caller holds Engine.mu.
func (e *Engine) freezeNames(source string) []mesh.Name {
	if group := e.merger.groups[source]; group != "" {
		source = group
	}
	if len(e.pendingSources(source)) > 0 {
		return nil
	}
	changed := e.renamed(e.names.Freeze(source), e.now())
	for key := range e.savedNames {
		if _, exists := e.merger.merged[key]; key.Source == source && !exists {
			e.saveName(key, mesh.Name{})
		}
	}
	e.forgetRestoredTags(source)
	return changed
}

// renamed translates the services among the affected ones that have got another name. It returns the names whose objects
// changed. The caller holds Engine.mu.
func (e *Engine) renamed(affected []catalog.Key, observed time.Time) (changed []mesh.Name) {
	for _, key := range affected {
		if known, ok := e.services[key]; ok && known.name != e.names.Of(key) {
			changed = append(changed, e.translate(known.Service, observed)...)
		}
	}
	return changed
}

// saveName stores the name of a service if it does not follow from the registered name: other services may convert to the
// same name. The zero name means that the service is gone. The caller holds Engine.mu.
func (e *Engine) saveName(key catalog.Key, name mesh.Name) {
	key = key.Fold()
	if name.Label == key.Name {
		name = mesh.Name{}
	}
	if e.savedNames[key] == name {
		return
	}
	if name == (mesh.Name{}) {
		delete(e.savedNames, key)
	} else {
		e.savedNames[key] = name
	}
	e.options.Store.Save(contract.Change{Names: map[catalog.Key]mesh.Name{key: name}})
}
