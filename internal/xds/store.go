package xds

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// kinds are the types that we serve, by the names that istiods of all versions ask for them with. They are the same on
// the wire. The list is short, and a client can wait for no more than it: what else it asks for is answered once.
var kinds = map[string]mesh.Kind{}

// served are the kinds that we may have objects of.
var served = []mesh.Kind{mesh.ServiceEntryKind, mesh.WorkloadEntryKind, mesh.DestinationRuleKind}

func init() {
	for _, version := range []string{"v1", "v1beta1", "v1alpha3"} {
		for _, kind := range served {
			kinds["networking.istio.io/"+version+"/"+string(kind)] = kind
		}
	}
}

// store is what the clients are served from. It answers the questions that go-control-plane's server passes on.
//
// That library's own caches can't be used: state of the world is whole only for Envoy's listeners and clusters there,
// while istiod deletes what a response leaves out; and they label each resource with the type that was asked for,
// while istiod reads one that is labelled as istio.mcp.v1alpha1.Resource only.
type store struct {
	// late has a word when a client came back that doesn't have the newest, and waits for the next push.
	late chan struct{}

	mu          sync.Mutex
	collections map[mesh.Kind]*collection
	// open says that the collections are whole: until then nobody is told anything of them.
	open bool
	// edition counts what was published.
	edition uint64
	// waiting are the clients that wait for news, taking those that were answered and didn't come back yet.
	waiting, taking map[*watch]struct{}
	// rest is until when what was sent is enough.
	rest time.Time
}

var _ cache.Cache = &store{}

func newStore() *store {
	collections := map[mesh.Kind]*collection{}
	for _, kind := range served {
		collections[kind] = newCollection()
	}
	return &store{
		late: make(chan struct{}, 1), collections: collections,
		waiting: map[*watch]struct{}{}, taking: map[*watch]struct{}{},
	}
}

// publish changes the collections, opens them, and answers those who wait for what changed. It returns the edition.
func (s *store) publish(set []*resource, remove []*resource) (edition uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range remove {
		s.collections[r.kind].remove(r.name)
	}
	for _, r := range set {
		s.collections[r.kind].set(r)
	}
	s.open = true
	s.edition++
	for w := range s.waiting {
		if s.knows(w) {
			w.took = s.edition
		} else {
			s.answer(w)
		}
	}
	return s.edition
}

// await answers a client when there is something to say: at once if it asks for the first time, else with the next push.
func (s *store) await(typeURL string, w *watch) (cancel func()) {
	kind, ours := kinds[typeURL]
	if !ours {
		if w.first {
			w.answer(newCollection(), "")
		}
		return nil
	}
	w.kind = kind
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[w] = struct{}{}
	switch {
	case !s.open:
	case w.first:
		s.answer(w)
	case s.knows(w):
		w.took = s.edition
	default:
		select {
		case s.late <- struct{}{}:
		default:
		}
	}
	return func() { s.leave(w) }
}

// knows tells whether a client has the newest.
func (s *store) knows(w *watch) bool { return !w.first && w.had == s.collections[w.kind].version() }

func (s *store) answer(w *watch) {
	c := s.collections[w.kind]
	bytes := w.answer(c, c.version()+editionMark+strconv.FormatUint(s.edition, 10))
	delete(s.waiting, w)
	s.taking[w] = struct{}{}
	if now := time.Now(); s.rest.Before(now) {
		s.rest = now
	}
	s.rest = s.rest.Add(pause(bytes))
}

// leave is called when a client comes back for more, or is gone.
func (s *store) leave(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, w)
	if _, answered := s.taking[w]; !answered {
		return
	}
	time.AfterFunc(returning, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.taking, w)
	})
}

// returning is how long a client counts as one that takes what it was sent when it has come back, since another watch
// only then says what it has.
const returning = 100 * time.Millisecond

// taken returns the edition that every client has taken.
func (s *store) taken() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.edition
	for _, some := range []map[*watch]struct{}{s.waiting, s.taking} {
		for w := range some {
			taken = min(taken, w.took)
		}
	}
	return taken
}

// resting returns how long it is until there may be another push.
func (s *store) resting() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.rest)
}

// Fetch implements cache.Cache.
func (s *store) Fetch(context.Context, *cache.Request) (cache.Response, error) {
	return nil, errors.New("there are streams only")
}

// count returns how many resources of a kind there are, and their size in bytes.
func (s *store) count(kind mesh.Kind) (resources, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.collections[kind]
	return len(c.resources), c.bytes
}
