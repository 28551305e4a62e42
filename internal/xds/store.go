package xds

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/wait"

	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// servedKinds are the kinds that the output can have resources of.
var servedKinds = []mesh.Kind{mesh.ServiceEntryKind, mesh.WorkloadEntryKind, mesh.DestinationRuleKind}

// kindOfType maps each type URL that is served to its kind. istiod versions differ in the API version of the type URL; the
// encoding is the same. A client can wait for changes of these types only: a request for another type is answered once.
var kindOfType = typeURLs()

func typeURLs() map[string]mesh.Kind {
	kinds := map[string]mesh.Kind{}
	for _, version := range []string{"v1", "v1beta1", "v1alpha3"} {
		for _, kind := range servedKinds {
			kinds["networking.istio.io/"+version+"/"+string(kind)] = kind
		}
	}
	return kinds
}

// store holds the collections that clients are served from, and the watches of the clients. It implements the cache that
// the server of go-control-plane reads.
//
// The caches of that library cannot be used here. Their state-of-the-world responses are complete for Envoy listeners and
// clusters only, while istiod deletes each resource that a response omits. They also label each resource with the type URL
// of the request, while istiod reads only resources labeled istio.mcp.v1alpha1.Resource.
type store struct {
	// laggards signals that a client without the newest version is waiting for the next push.
	laggards wait.Signal

	// mu guards the fields below. It is a leaf: no other lock is acquired while it is held.
	//
	// It is held while a response is sent on the channel of go-control-plane, because the response and the state of the
	// watch must change together. The send never blocks: see watch.send.
	mu          sync.Mutex
	collections map[mesh.Kind]*collection
	// complete is true once the collections are complete. Before that, no watch is answered from them.
	complete bool
	// edition counts the publications.
	edition uint64
	// waiting holds the watches that have not been answered.
	waiting map[*watch]struct{}
	// inFlight holds the watches that have been answered and whose clients have not acknowledged the response.
	inFlight map[*watch]struct{}
	// throttledUntil is the earliest time of the next push.
	throttledUntil time.Time
}

var _ cache.Cache = &store{}

func newStore() *store {
	collections := map[mesh.Kind]*collection{}
	for _, kind := range servedKinds {
		collections[kind] = newCollection()
	}
	return &store{
		laggards: wait.NewSignal(), collections: collections,
		waiting: map[*watch]struct{}{}, inFlight: map[*watch]struct{}{},
	}
}

// publish changes the collections, marks them complete, and answers each watch whose collection changed. It returns the
// edition.
func (s *store) publish(set []*resource, remove []*resource) (edition uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range remove {
		s.collections[r.kind].remove(r.name)
	}
	for _, r := range set {
		s.collections[r.kind].set(r)
	}
	s.complete = true
	s.edition++
	for w := range s.waiting {
		if s.isCurrent(w) {
			w.ackedEdition = s.edition
		} else {
			s.answer(w)
		}
	}
	return s.edition
}

// add registers a watch. It answers the first request for a type at once, and a later one with the next push that changes
// the collection.
func (s *store) add(typeURL string, w *watch) (cancel func()) {
	kind, served := kindOfType[typeURL]
	if !served {
		if w.first {
			w.send(newCollection(), "")
		}
		return nil
	}
	w.kind = kind
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[w] = struct{}{}
	switch {
	case !s.complete:
	case w.first:
		s.answer(w)
	case s.isCurrent(w):
		w.ackedEdition = s.edition
	default:
		s.laggards.Notify()
	}
	return func() { s.cancel(w) }
}

// isCurrent reports whether the client of a watch has the newest version. The caller holds mu.
func (s *store) isCurrent(w *watch) bool {
	return !w.first && w.version == s.collections[w.kind].version()
}

// answer sends the collection to a watch and counts the bytes against the throttle. The caller holds mu.
func (s *store) answer(w *watch) {
	c := s.collections[w.kind]
	bytes := w.send(c, c.version()+editionMark+strconv.FormatUint(s.edition, 10))
	delete(s.waiting, w)
	s.inFlight[w] = struct{}{}
	if now := time.Now(); s.throttledUntil.Before(now) {
		s.throttledUntil = now
	}
	s.throttledUntil = s.throttledUntil.Add(throttleFor(bytes))
}

// ackGrace is how long an answered watch counts as in flight after its client sent the next request. The next watch, which
// records the acknowledged edition, is added after the previous one is canceled.
const ackGrace = 100 * time.Millisecond

// cancel removes a watch when its client sends the next request or disconnects.
func (s *store) cancel(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, w)
	if _, answered := s.inFlight[w]; !answered {
		return
	}
	time.AfterFunc(ackGrace, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.inFlight, w)
	})
}

// ackedEdition returns the newest edition that every client has acknowledged.
func (s *store) ackedEdition() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	acked := s.edition
	for _, watches := range []map[*watch]struct{}{s.waiting, s.inFlight} {
		for w := range watches {
			acked = min(acked, w.ackedEdition)
		}
	}
	return acked
}

// throttledFor returns how long the next push has to wait.
func (s *store) throttledFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.throttledUntil)
}

// Fetch implements cache.Cache.
func (s *store) Fetch(context.Context, *cache.Request) (cache.Response, error) {
	return nil, errors.New("xds: only streams are served")
}

// count returns the number of resources of a kind and their size in bytes.
func (s *store) count(kind mesh.Kind) (resources, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.collections[kind]
	return len(c.resources), c.bytes
}
