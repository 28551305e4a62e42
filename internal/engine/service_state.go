package engine

import (
	"net/netip"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// serviceState is one service of the registries and the result of its translation.
type serviceState struct {
	catalog.Service
	// name is the name of the service in the mesh.
	name mesh.Name
	// tags are the tags that have hosts of their own, sorted.
	tags []string
	// findings are the registrations that were skipped or adjusted.
	findings []mesh.Finding
	// logged are the findings that the log has, by reason.
	logged map[mesh.Reason]loggedFinding
	// clashes are the addresses of instances that lie within the ranges of virtual addresses.
	clashes map[netip.Addr]bool
}

// nameState is one name in the mesh. The zero value is a name without objects. Change it with Engine.update.
type nameState struct {
	// desired are the desired objects. Its Revision is zero if there are none.
	desired contract.Desired
	// owner is the key of the service that the desired objects were translated from.
	owner catalog.Key
	// since is the time of the first change that no output has written yet. Engine.Written resets it.
	since time.Time
	// untranslatable is the key of the service whose translation failed because of an internal error. The zero key means
	// that no translation failed.
	untranslatable catalog.Key
	// live are the live objects while the desired objects aren't known.
	live []mesh.Object
	// yieldedHosts are the hosts that belong to objects of others.
	yieldedHosts []string
}

// current returns the desired objects, or the live objects in their place.
func (s *nameState) current() []mesh.Object {
	if s.hasDesired() {
		return s.desired.Objects
	}
	return s.live
}

// objects returns the number of current objects.
func (s *nameState) objects() int { return len(s.current()) }

// hasDesired reports whether the name has desired objects.
func (s nameState) hasDesired() bool { return s.desired.Revision > 0 }

// empty reports whether nothing is known of the name.
func (s nameState) empty() bool {
	return !s.hasDesired() && s.untranslatable == (catalog.Key{}) && len(s.live) == 0 && len(s.yieldedHosts) == 0
}

// setDesired replaces the desired objects.
func (s *nameState) setDesired(resources mesh.Resources, owner catalog.Key, revision uint64, observed time.Time) {
	s.desired = contract.Desired{Resources: resources, Authoritative: true, Revision: revision}
	s.owner = owner
	if s.since.IsZero() {
		s.since = observed
	}
}

// clearDesired removes the desired objects.
func (s *nameState) clearDesired() {
	s.desired, s.owner, s.since = contract.Desired{}, catalog.Key{}, time.Time{}
}

// update changes the state of a name, and forgets the name if nothing is left of it. The caller holds Engine.mu.
func (e *Engine) update(name mesh.Name, change func(s *nameState)) {
	s := e.byName[name]
	before := s.objects()
	change(&s)
	e.budget.charge(name.Source, s.objects()-before)
	if s.empty() {
		delete(e.byName, name)
		return
	}
	e.byName[name] = s
}
