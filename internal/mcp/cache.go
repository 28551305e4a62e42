package mcp

import (
	"context"
	"errors"
	"sync"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
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

// everything keys, among the resources that a client of state of the world was sent, the version of all of them.
const everything = "*"

// store is what the clients are served from. It answers the questions that go-control-plane's server passes on.
//
// That library's own caches can't be used: state of the world is whole only for Envoy's listeners and clusters there,
// while istiod deletes what a response leaves out; and they label each resource with the type that was asked for,
// while istiod reads one that is labelled as istio.mcp.v1alpha1.Resource only.
type store struct {
	mu          sync.Mutex
	collections map[mesh.Kind]*collection
	// open says that the collections are whole: until then nobody is told anything of them.
	open    bool
	watches map[*watch]struct{}
}

// watch is a client that waits for a change of one kind. It is answered once.
type watch struct {
	kind mesh.Kind
	// first says that the client asks for the first time on its stream, and so must be told even what it may know.
	first bool
	// answer tells the client what it doesn't know, and how many bytes that is.
	answer func(c *collection, first bool) (bytes int, answered bool)
}

var _ cache.Cache = &store{}

func newStore() *store {
	collections := map[mesh.Kind]*collection{}
	for _, kind := range served {
		collections[kind] = newCollection()
	}
	return &store{collections: collections, watches: map[*watch]struct{}{}}
}

// publish changes the collections, opens them, and answers those who wait for what changed. It returns how many bytes
// that sends.
func (s *store) publish(set []*resource, remove []*resource) (bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range remove {
		s.collections[r.kind].remove(r.name)
	}
	for _, r := range set {
		s.collections[r.kind].set(r)
	}
	s.open = true
	for w := range s.watches {
		sent, answered := w.answer(s.collections[w.kind], w.first)
		if bytes += sent; answered {
			delete(s.watches, w)
		}
	}
	return bytes
}

// await answers a client at once, or when there is something to say.
func (s *store) await(typeURL string, w watch) (cancel func()) {
	kind, ours := kinds[typeURL]
	if !ours {
		if w.first {
			w.answer(newCollection(), true)
		}
		return nil
	}
	w.kind = kind
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		if _, answered := w.answer(s.collections[kind], w.first); answered {
			return nil
		}
	}
	s.watches[&w] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watches, &w)
	}
}

// CreateWatch implements cache.ConfigWatcher, for state of the world. What a client rejected it is not sent again until
// there is something else to send.
func (s *store) CreateWatch(request *cache.Request, sub cache.Subscription, responses chan cache.Response) (func(), error) {
	if !sub.IsWildcard() {
		return nil, errNames
	}
	// A nonce doesn't tell whether it is the first request: istiod makes one up.
	had, answered := sub.ReturnedResources()[everything]
	answer := func(c *collection, first bool) (int, bool) {
		version := c.version()
		if !first && had == version {
			return 0, false
		}
		responses <- &cache.PassthroughResponse{
			Request: request,
			DiscoveryResponse: &discovery.DiscoveryResponse{
				VersionInfo: version, TypeUrl: request.GetTypeUrl(), Resources: c.all(),
			},
			ReturnedResources: map[string]string{everything: version},
		}
		return c.bytes, true
	}
	return s.await(request.GetTypeUrl(), watch{first: !answered, answer: answer}), nil
}

// CreateDeltaWatch implements cache.ConfigWatcher, for the delta protocol: a client is sent what differs from what it
// has, by its own word where it comes from another replica.
func (s *store) CreateDeltaWatch(request *cache.DeltaRequest, sub cache.Subscription, responses chan cache.DeltaResponse) (func(), error) {
	if !sub.IsWildcard() {
		return nil, errNames
	}
	answer := func(c *collection, first bool) (int, bool) {
		changed, removed := c.since(sub.ReturnedResources())
		if !first && len(changed) == 0 && len(removed) == 0 {
			return 0, false
		}
		responses <- &cache.DeltaPassthroughResponse{
			DeltaRequest: request,
			DeltaDiscoveryResponse: &discovery.DeltaDiscoveryResponse{
				SystemVersionInfo: c.version(), TypeUrl: request.GetTypeUrl(),
				Resources: changed, RemovedResources: removed,
			},
			NextVersionMap: c.versions(),
		}
		return sizeOf(changed), true
	}
	return s.await(request.GetTypeUrl(), watch{first: request.GetResponseNonce() == "", answer: answer}), nil
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
