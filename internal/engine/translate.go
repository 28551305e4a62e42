package engine

import (
	"net/netip"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// translate brings the desired objects of a service up to date. It returns the names whose objects changed. The caller
// holds Engine.mu.
//
// The order of the steps matters. Addresses of instances are excluded before virtual addresses are assigned. The earlier
// name is released before the new name is set, so a service never owns two names. Evicted services come last, because
// they need the addresses that the service doesn't take.
func (e *Engine) translate(newest catalog.Service, observed time.Time) (changed []mesh.Name) {
	known := e.services[newest.Key]
	next := &serviceState{Service: newest}
	var resources mesh.Resources
	exists := len(newest.Instances) > 0
	if exists {
		next.name = e.names.Of(newest.Key)
		newest.FormerTags = e.formerTags(known, next.name)
		resources, next.findings = mesh.Translate(newest, next.name, e.meshOptions(known, next.name))
		resources = e.limitObjects(known, next, resources)
	} else {
		delete(e.budget.waiting, newest.Key)
	}
	e.saveName(newest.Key, next.name)
	e.recordForm(known, next, resources)
	evicted := e.excludeInstances(next, known.knownClashes())
	if exists {
		evicted = append(evicted, e.assignAddresses(next, resources)...)
	}
	e.reportFindings(known, next)
	if known != nil && known.name != next.name {
		if e.releaseName(known.name, newest.Key, observed) {
			changed = append(changed, known.name)
		}
		changed = append(changed, e.releaseTags(known, newest.Key, nil, observed)...)
		e.saveTags(known.name, known.tags, nil)
	}
	if e.setUntranslatable(next.name, newest.Key, resources.Broken) {
		changed = append(changed, next.name)
	}
	if !exists {
		if known == nil {
			return nil
		}
		e.removeService(newest)
		return changed
	}
	if e.services[newest.Key] = next; known == nil {
		e.log.Debug("service added", "service", newest.Key, "instances", len(newest.Instances))
	}
	if !resources.Broken && e.setDesired(next.name, newest.Key, resources, observed) {
		changed = append(changed, next.name)
	}
	changed = append(changed, e.setTags(known, next, resources, observed)...)
	return append(changed, e.reassign(evicted, observed)...)
}

func (s *serviceState) knownClashes() map[netip.Addr]bool {
	if s == nil {
		return nil
	}
	return s.clashes
}

// removeService forgets a service without instances. The log doesn't report a service that is only quarantined.
func (e *Engine) removeService(service catalog.Service) {
	delete(e.services, service.Key)
	if s := e.sourceOf(service.Source); s == nil || s.phase != quarantined {
		e.log.Info("service removed", "service", service.Key)
	}
}

// setUntranslatable records whether the translation of a service failed because of an internal error. It reports whether
// an earlier failure has ended, so that the absence of the service is authoritative again.
func (e *Engine) setUntranslatable(name mesh.Name, owner catalog.Key, failed bool) (ended bool) {
	if failed {
		e.update(name, func(s *nameState) { s.untranslatable = owner })
		return false
	}
	if e.byName[name].untranslatable != owner {
		return false
	}
	e.update(name, func(s *nameState) { s.untranslatable = catalog.Key{} })
	return true
}

// releaseName removes the objects of a service from a name that it no longer has. It reports whether the name changed. If
// another service has the name by now, its objects stay.
func (e *Engine) releaseName(name mesh.Name, owner catalog.Key, observed time.Time) bool {
	ended := e.setUntranslatable(name, owner, false)
	return e.byName[name].owner == owner && e.setDesired(name, owner, mesh.Resources{}, observed) || ended
}

// setDesired sets the desired objects of a name. It reports whether they differ from the earlier ones.
func (e *Engine) setDesired(name mesh.Name, owner catalog.Key, resources mesh.Resources, observed time.Time) bool {
	if e.byName[name].desired.Equal(resources) {
		return false
	}
	e.metrics.changed(name.Source, observed)
	e.revision++
	if len(resources.Objects) == 0 {
		e.update(name, (*nameState).clearDesired)
		e.addresses.pool.Release(name, e.now())
		return true
	}
	pending := len(e.pendingSources(name.Source))
	e.update(name, func(s *nameState) {
		s.setDesired(resources, owner, e.revision, observed)
		if pending == 0 {
			s.live = nil
		}
	})
	return true
}
