package xds

import (
	"time"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// shelf has the resources of each service that is served, and the empty ServiceEntries of services that left: an entry
// without endpoints costs istiod little, while taking it away costs a push to every proxy.
type shelf struct {
	grace time.Duration
	held  map[mesh.Name]lot
	// left says since when a service has been gone whose ServiceEntry stays.
	left map[mesh.Name]time.Time
}

// lot is one service's objects, and the resources that were made of them.
type lot struct {
	objects   []mesh.Object
	resources []*resource
}

func newShelf(grace time.Duration) *shelf {
	return &shelf{grace: grace, held: map[mesh.Name]lot{}, left: map[mesh.Name]time.Time{}}
}

// replace puts a service's objects in place of those that it had; none says that it left. It returns the resources that
// are new or changed, and those that are gone; and whether the service has arrived there, which it hasn't while it moves.
// Objects that stayed as they are aren't encoded again.
func (s *shelf) replace(name mesh.Name, objects []mesh.Object, now time.Time) (set, gone []*resource, arrived bool, err error) {
	before := s.held[name]
	if len(objects) == 0 {
		objects = s.leave(name, before.objects, now)
	} else {
		delete(s.left, name)
	}
	objects, arrived = onTheWay(before.objects, objects)
	known := make(map[string]int, len(before.objects))
	for i, object := range before.objects {
		known[reference(object)] = i
	}
	next := lot{objects: objects, resources: make([]*resource, len(objects))}
	for i, object := range objects {
		at, had := known[reference(object)]
		delete(known, reference(object))
		if had && before.objects[at].Equal(object) {
			next.resources[i] = before.resources[at]
			continue
		}
		made, err := encode(object)
		if err != nil {
			return nil, nil, false, err
		}
		next.resources[i] = made
		set = append(set, made)
	}
	for _, at := range known {
		gone = append(gone, before.resources[at])
	}
	if s.held[name] = next; len(objects) == 0 {
		delete(s.held, name)
	}
	return set, gone, arrived, nil
}

func reference(object mesh.Object) string {
	return string(object.Kind) + "/" + object.Namespace + "/" + object.Name
}

// leave returns what stays of a service that left: its ServiceEntry without endpoints, until its time is over.
func (s *shelf) leave(name mesh.Name, before []mesh.Object, now time.Time) []mesh.Object {
	since, leaving := s.left[name]
	if !leaving {
		since = now
	}
	if len(before) == 0 || now.Sub(since) >= s.grace {
		delete(s.left, name)
		return nil
	}
	s.left[name] = since
	entry := before[0] // the ServiceEntry comes first
	spec := proto.CloneOf(entry.Spec.(*networking.ServiceEntry))
	spec.Endpoints = nil
	if spec.WorkloadSelector == nil {
		// A DNS entry without endpoints would make Istio resolve the host itself.
		spec.Resolution = networking.ServiceEntry_STATIC
	}
	entry.Spec = spec
	return []mesh.Object{entry}
}

// expired returns the services whose time is over.
func (s *shelf) expired(now time.Time) []mesh.Name {
	var names []mesh.Name
	for name, since := range s.left {
		if now.Sub(since) >= s.grace {
			names = append(names, name)
		}
	}
	return names
}

// due returns how long it is until the next service's time is over; false where there is none.
func (s *shelf) due(now time.Time) (wait time.Duration, some bool) {
	for _, since := range s.left {
		if left := s.grace - now.Sub(since); !some || left < wait {
			wait, some = max(left, 0), true
		}
	}
	return wait, some
}
