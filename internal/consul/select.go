package consul

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// optOut is the meta entry by which an instance says that it is not for the mesh: "false" in any case.
const optOut = "isthmus"

// Selection says which services, and which of their instances, are handed on. The zero Selection takes everything but
// instances that say no themselves.
type Selection struct {
	// Include and Exclude are globs of services' names. Exclude goes before Include; no Include means every name. What
	// is left out by its name is never asked for.
	Include, Exclude []string
	// WithTags and WithoutTags are globs of tags. An instance must have a tag for each of the first, and none that
	// fits one of the second.
	WithTags, WithoutTags []string
}

// name tells whether a service is taken by its name.
func (s Selection) name(name string) bool {
	return (len(s.Include) == 0 || catalog.MatchAny(s.Include, name)) && !catalog.MatchAny(s.Exclude, name)
}

func (s Selection) instance(i catalog.Instance) bool {
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

// of returns what is taken of a service. Without instances it is gone.
func (s Selection) of(service catalog.Service) catalog.Service {
	refused := func(i catalog.Instance) bool { return !s.instance(i) }
	switch {
	case !s.name(service.Name):
		service.Instances = nil
		return service.AsComplete()
	case slices.ContainsFunc(service.Instances, refused): // usually none is, and of 100,000 instances a copy takes 20 MB
		service.Instances = slices.DeleteFunc(slices.Clone(service.Instances), refused)
		catalog.MarkSuperseded(service.Instances)
	}
	return service
}

// selector hands on what is selected. It stands behind everything that judges Consul's answers, which so know whole
// services: an instance that is not selected was seen, and is never mistaken for one that an ACL hides.
type selector struct {
	mu sync.Mutex
	to catalog.Sink
	by Selection
	// whole are the services that are watched, as Consul says them.
	whole map[string]catalog.Service
	// told says that the log knows that no name is selected.
	told bool
}

func (s *selector) open(to catalog.Sink) catalog.Sink {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = to
	s.whole = map[string]catalog.Service{}
	return s
}

// Update implements catalog.Sink. What is handed on under the lock keeps its order when the selection changes.
func (s *selector) Update(service catalog.Service, observed time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.whole[service.Name] = service
	if len(service.Instances) == 0 {
		delete(s.whole, service.Name)
	}
	s.to.Update(s.by.of(service), observed)
}

// Synced implements catalog.Sink.
func (s *selector) Synced(source string, whole bool) { s.to.Synced(source, whole) }

// change selects anew from everything that is watched.
func (s *selector) change(by Selection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by, s.told = by, false
	now := time.Now()
	for _, service := range s.whole {
		s.to.Update(by.of(service), now)
	}
}

func (s *selector) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.whole, name)
}

func (s *selector) selects(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by.name(name)
}

// Select changes what is handed on while the source runs. What is left out now is gone at once; what is taken in comes
// as soon as Consul has answered for it.
func (s *Source) Select(by Selection) {
	s.selector.change(by)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list != nil {
		s.list.refresh()
	}
	for name, w := range s.watchers {
		if !by.name(name) { // one that the list doesn't name any more may be in trouble, and at rest
			w.refresh()
		}
	}
}

// dropped ends the watch of a service that is no longer selected, be it in trouble or not.
func (w *service) dropped() bool {
	if w.source.selector.selects(w.name) || !w.source.leave(w.name) {
		return false
	}
	w.settleOnce()
	return true
}

// selected returns the names that are to be watched. That all are left out may be meant, but is told.
func (s *Source) selected(names map[string]bool) map[string]bool {
	s.selector.mu.Lock()
	defer s.selector.mu.Unlock()
	taken := make(map[string]bool, len(names))
	for name := range names {
		if s.selector.by.name(name) {
			taken[name] = true
		}
	}
	if none := len(taken) == 0 && len(names) > 0; none != s.selector.told {
		if s.selector.told = none; none {
			s.log.Warn("no service is selected by its name: check include and exclude", "services", len(names))
		}
	}
	return taken
}
