package consul

import (
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// optOut is the meta key with which an instance opts out of the mesh: the value is "false" in any case. With the value "true",
// its kind does not leave it out.
const optOut = "isthmus"

// Selection selects services and instances. The zero Selection selects everything except instances that opt out.
type Selection struct {
	// Include has globs of service names; empty selects every name.
	Include []string
	// Exclude has globs of service names. It takes precedence over Include. An excluded service is never queried.
	Exclude []string
	// WithTags has globs of tags. An instance must have a matching tag for each of them.
	WithTags []string
	// WithoutTags has globs of tags. An instance must not have a tag that matches one of them.
	WithoutTags []string
	// Kinds are the kinds of instances that are included. By default all of them are left out.
	Kinds catalog.Kinds
}

// matchesName reports whether a service is selected by its name.
func (s Selection) matchesName(name string) bool {
	return (len(s.Include) == 0 || catalog.MatchAny(s.Include, name)) && !catalog.MatchAny(s.Exclude, name)
}

// follows reports whether a service is queried: it is selected, or it has the sidecars of a selected service.
func (s Selection) follows(name string) bool {
	if s.matchesName(name) {
		return true
	}
	service, ok := strings.CutSuffix(name, sidecarSuffix)
	return ok && s.Kinds&catalog.ConnectSidecar == 0 && s.matchesName(service) && !catalog.MatchAny(s.Exclude, name)
}

func (s Selection) matchesInstance(i catalog.Instance) bool {
	if strings.EqualFold(i.Meta[optOut], "false") {
		return false
	}
	for _, glob := range s.WithTags {
		if !slices.ContainsFunc(i.Tags, func(tag string) bool { return catalog.Match(glob, tag) }) {
			return false
		}
	}
	return !slices.ContainsFunc(i.Tags, func(tag string) bool { return catalog.MatchAny(s.WithoutTags, tag) })
}

// apply returns a service with its selected instances.
func (s Selection) apply(service catalog.Service) catalog.Service {
	excluded := func(i catalog.Instance) bool { return !s.matchesInstance(i) }
	switch {
	case !s.matchesName(service.Name):
		service.Instances = nil
		return service.AsComplete()
	case slices.ContainsFunc(service.Instances, excluded): // usually false; a copy of 100,000 instances takes 20 MB
		service.Instances = slices.DeleteFunc(slices.Clone(service.Instances), excluded)
		catalog.MarkEndpoints(service.Instances)
	}
	return service
}

// Select changes the selection while the source runs. Services and instances that are no longer selected are removed at once.
// Newly selected ones are added after Consul has answered for them.
func (s *Source) Select(by Selection) {
	s.selector.change(by)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list != nil {
		s.list.Refresh()
	}
	for name, w := range s.services {
		if !by.follows(name) { // the query of a failing service may be in a long pause
			w.Refresh()
		}
	}
}

// deselected ends the query of a service that is no longer selected. It reports whether it did.
func (w *serviceWatch) deselected() bool {
	if w.source.selector.selects(w.name) || !w.source.unfollow(w.name) {
		return false
	}
	w.synced()
	return true
}

// selection returns the selection in use.
func (s *selector) selection() Selection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by
}

// warnUnselected logs when no name of the list is selected, which may be intended.
func (s *Source) warnUnselected(l listing) {
	s.selector.mu.Lock()
	defer s.selector.mu.Unlock()
	if l.selected > 0 || l.total == 0 {
		s.selector.noneSelected.End()
	} else if s.selector.noneSelected.Begin() {
		s.log.Warn("no service is selected", "services", l.total, "hint", "check services.include and services.exclude")
	}
}
