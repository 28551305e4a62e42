package xds

import (
	"time"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// snapshot holds the objects and resources that are served for each service. After a service is removed, its ServiceEntry
// stays without endpoints for the grace period: an entry without endpoints costs istiod little, while the removal of an
// entry costs a push to every proxy.
type snapshot struct {
	grace    time.Duration
	services map[mesh.Name]servedService
	// removedAt is when a service was removed of which the ServiceEntry is still served.
	removedAt map[mesh.Name]time.Time
}

// servedService holds the objects of one service and, at the same indexes, their resources.
type servedService struct {
	objects   []mesh.Object
	resources []*resource
}

func newSnapshot(grace time.Duration) *snapshot {
	return &snapshot{
		grace: grace, services: map[mesh.Name]servedService{}, removedAt: map[mesh.Name]time.Time{},
	}
}

// replace replaces the objects of a service; no objects mean that the service was removed. It returns the resources that
// are new or changed, the resources that are gone, and whether the desired objects are reached. They are not reached while
// the service is migrating. Unchanged objects are not encoded again.
func (s *snapshot) replace(
	name mesh.Name, objects []mesh.Object, now time.Time,
) (set, gone []*resource, done bool, err error) {
	before := s.services[name]
	if len(objects) == 0 {
		objects = s.afterRemoval(name, before.objects, now)
	} else {
		delete(s.removedAt, name)
	}
	objects, done = nextStep(before.objects, objects)
	indexes := make(map[string]int, len(before.objects))
	for i, object := range before.objects {
		indexes[objectKey(object)] = i
	}
	next := servedService{objects: objects, resources: make([]*resource, len(objects))}
	for i, object := range objects {
		at, exists := indexes[objectKey(object)]
		delete(indexes, objectKey(object))
		if exists && before.objects[at].Equal(object) {
			next.resources[i] = before.resources[at]
			continue
		}
		encoded, err := encode(object)
		if err != nil {
			return nil, nil, false, err
		}
		next.resources[i] = encoded
		set = append(set, encoded)
	}
	for _, at := range indexes {
		gone = append(gone, before.resources[at])
	}
	if s.services[name] = next; len(objects) == 0 {
		delete(s.services, name)
	}
	return set, gone, done, nil
}

// objectKey returns the kind, namespace and name of an object.
func objectKey(object mesh.Object) string {
	return string(object.Kind) + "/" + object.Namespace + "/" + object.Name
}

// afterRemoval returns the objects that stay of a removed service: its ServiceEntry without endpoints until the grace period is
// over, then none.
func (s *snapshot) afterRemoval(name mesh.Name, before []mesh.Object, now time.Time) []mesh.Object {
	since, removed := s.removedAt[name]
	if !removed {
		since = now
	}
	if len(before) == 0 || now.Sub(since) >= s.grace {
		delete(s.removedAt, name)
		return nil
	}
	s.removedAt[name] = since
	entry := before[0] // the ServiceEntry is the first object
	spec := proto.CloneOf(entry.Spec.(*networking.ServiceEntry))
	spec.Endpoints = nil
	if spec.WorkloadSelector == nil {
		// Istio would resolve the host of a DNS entry without endpoints.
		spec.Resolution = networking.ServiceEntry_STATIC
	}
	entry.Spec = spec
	return []mesh.Object{entry}
}

// expired returns the removed services whose grace period is over.
func (s *snapshot) expired(now time.Time) []mesh.Name {
	var names []mesh.Name
	for name, since := range s.removedAt {
		if now.Sub(since) >= s.grace {
			names = append(names, name)
		}
	}
	return names
}

// nextExpiry returns the time until the next grace period is over. It reports false if no removed service is served.
func (s *snapshot) nextExpiry(now time.Time) (wait time.Duration, found bool) {
	for _, since := range s.removedAt {
		if remaining := s.grace - now.Sub(since); !found || remaining < wait {
			wait, found = max(remaining, 0), true
		}
	}
	return wait, found
}
