package consul

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/logonce"
)

// selector forwards the selected services and instances. It comes after the checks of Consul's responses, which need complete
// services: an instance that is not selected was seen, and must not be taken for one that an ACL hides. Instances of a kind
// that is left out are forwarded with that mark, so that the mesh can report them and the guard takes none for a removal.
type selector struct {
	// mu guards the fields below. It is acquired after Source.mu and before the locks of the sink.
	mu sync.Mutex
	to catalog.Sink
	by Selection
	// services has the followed services with instances, complete, by their name in lower case and their name.
	services map[string]map[string]catalog.Service
	sidecars sidecarIndex
	// protocols are the protocols of Consul's service-defaults by the name of the service in lower case.
	protocols map[string]string
	// held means that nothing is forwarded until the first call of setProtocols: a service must not change its protocol for
	// a moment at each start.
	held bool
	// noneSelected is true while no name of the list is selected.
	noneSelected logonce.Condition
}

func newSelector(by Selection) *selector { return &selector{by: by} }

func (s *selector) open(to catalog.Sink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = to
	s.services = map[string]map[string]catalog.Service{}
	s.sidecars = newSidecarIndex()
}

// Update implements catalog.Sink. It forwards under the lock to keep the order when the selection changes.
func (s *selector) Update(service catalog.Service, observed time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(service)
	if !s.sidecars.awaited[strings.ToLower(service.Name)] || s.by.Kinds&catalog.ConnectSidecar != 0 {
		s.send(service, observed)
	}
}

// remember records a service, or forgets one without instances.
func (s *selector) remember(service catalog.Service) {
	folded := strings.ToLower(service.Name)
	named := s.services[folded]
	switch {
	case len(service.Instances) == 0 && !service.Partial:
		if delete(named, service.Name); len(named) == 0 {
			delete(s.services, folded)
		}
	case named == nil:
		s.services[folded] = map[string]catalog.Service{service.Name: service}
	default:
		named[service.Name] = service
	}
}

// Synced implements catalog.Sink.
func (s *selector) Synced(source string, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for folded := range s.sidecars.awaited {
		s.forward(folded, time.Now())
	}
	clear(s.sidecars.awaited)
	s.to.Synced(source, complete)
}

// expect delays the services of the initial sync whose sidecars are in the list until these are read.
func (s *selector) expect(names map[string]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sidecars.expect(names)
}

// setSidecars replaces the sidecars that are registered under a name, and forwards the services that they represent.
func (s *selector) setSidecars(proxy string, sidecars []sidecar, observed time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.sidecars.set(proxy, sidecars)
	if service, ok := strings.CutSuffix(strings.ToLower(proxy), sidecarSuffix); ok && s.sidecars.awaited[service] {
		delete(s.sidecars.awaited, service)
		if !slices.Contains(changed, service) {
			changed = append(changed, service)
		}
	}
	for _, folded := range changed {
		if !s.sidecars.awaited[folded] {
			s.forward(folded, observed)
		}
	}
}

// forward passes on the known services of a name in lower case.
func (s *selector) forward(folded string, observed time.Time) {
	for _, service := range s.services[folded] {
		s.send(service, observed)
	}
}

// send passes on a service.
func (s *selector) send(service catalog.Service, observed time.Time) {
	if !s.held {
		s.to.Update(s.configure(s.apply(service)), observed)
	}
}

// configure returns a service with the protocol of its service-defaults.
func (s *selector) configure(service catalog.Service) catalog.Service {
	protocol := s.protocols[strings.ToLower(service.Name)]
	if protocol == "" {
		return service
	}
	service.Instances = slices.Clone(service.Instances)
	for at := range service.Instances {
		service.Instances[at].ServiceProtocol = protocol
	}
	return service
}

// setProtocols replaces the protocols of the service-defaults, and forwards the services whose protocol changed. The first call
// forwards all services.
func (s *selector) setProtocols(protocols map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, held := s.protocols, s.held
	s.protocols, s.held = protocols, false
	now := time.Now()
	for folded := range s.services {
		if !s.sidecars.awaited[folded] && (held || before[folded] != protocols[folded]) {
			s.forward(folded, now)
		}
	}
}

// apply returns a service with its selected instances, and with the marks of those that are left out.
func (s *selector) apply(service catalog.Service) catalog.Service {
	service = s.by.apply(service)
	folded := strings.ToLower(service.Name)
	mark := func(i catalog.Instance) catalog.Kinds {
		if s.sidecars.protects(folded, i.ID) && !optsIn(i) {
			i.LeftOut |= catalog.ConnectSidecar
		}
		return i.LeftOut &^ s.by.Kinds
	}
	if !slices.ContainsFunc(service.Instances, func(i catalog.Instance) bool { return mark(i) != i.LeftOut }) {
		return service
	}
	service.Instances = slices.Clone(service.Instances)
	for at := range service.Instances {
		service.Instances[at].LeftOut = mark(service.Instances[at])
	}
	catalog.MarkEndpoints(service.Instances)
	return service
}

// change applies a new selection to the followed services.
func (s *selector) change(by Selection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by = by
	s.noneSelected.End()
	now := time.Now()
	for folded := range s.services {
		if !s.sidecars.awaited[folded] {
			s.forward(folded, now)
		}
	}
}

// forget removes a service that is no longer followed.
func (s *selector) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(catalog.Service{Key: catalog.Key{Name: name}})
	for _, folded := range s.sidecars.set(name, nil) {
		s.forward(folded, time.Now())
	}
}

// selects reports whether a service is queried.
func (s *selector) selects(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by.follows(name)
}
