package xds

import (
	"strconv"
	"strings"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// everything keys, among the resources that a client was sent, the version of all of them, and behind editionMark the
// edition that they were of.
const everything, editionMark = "*", "@"

// watch is a client that waits for a change of one kind. It is answered once.
type watch struct {
	kind mesh.Kind
	// first says that the client asks for the first time on its stream, and so must be told even what it may know.
	first bool
	// had is the version of everything that the client has, took the edition of that.
	had  string
	took uint64
	// answer tells the client what it doesn't have. It returns how many bytes that is.
	answer func(c *collection, stamp string) (bytes int)
}

func newWatch(sub cache.Subscription, first bool) *watch {
	w := &watch{first: first}
	had, edition, _ := strings.Cut(sub.ReturnedResources()[everything], editionMark)
	if !first {
		w.had = had
		w.took, _ = strconv.ParseUint(edition, 10, 64) // it is our own
	}
	return w
}

// CreateWatch implements cache.ConfigWatcher, for state of the world. What a client rejected it is not sent again until
// there is something else to send.
func (s *store) CreateWatch(request *cache.Request, sub cache.Subscription, responses chan cache.Response) (func(), error) {
	if !sub.IsWildcard() {
		return nil, errNames
	}
	// A nonce doesn't tell whether it is the first request: istiod makes one up.
	_, answered := sub.ReturnedResources()[everything]
	w := newWatch(sub, !answered)
	w.answer = func(c *collection, stamp string) int {
		responses <- &cache.PassthroughResponse{
			Request: request,
			DiscoveryResponse: &discovery.DiscoveryResponse{
				VersionInfo: c.version(), TypeUrl: request.GetTypeUrl(), Resources: c.all(),
			},
			ReturnedResources: map[string]string{everything: stamp},
		}
		return c.bytes
	}
	return s.await(request.GetTypeUrl(), w), nil
}

// CreateDeltaWatch implements cache.ConfigWatcher, for the delta protocol: a client is sent what differs from what it
// has, by its own word where it comes from another replica.
func (s *store) CreateDeltaWatch(request *cache.DeltaRequest, sub cache.Subscription, responses chan cache.DeltaResponse) (func(), error) {
	if !sub.IsWildcard() {
		return nil, errNames
	}
	w := newWatch(sub, request.GetResponseNonce() == "")
	w.answer = func(c *collection, stamp string) int {
		changed, removed := c.since(sub.ReturnedResources())
		next := c.versions()
		next[everything] = stamp
		responses <- &cache.DeltaPassthroughResponse{
			DeltaRequest: request,
			DeltaDiscoveryResponse: &discovery.DeltaDiscoveryResponse{
				SystemVersionInfo: c.version(), TypeUrl: request.GetTypeUrl(),
				Resources: changed, RemovedResources: removed,
			},
			NextVersionMap: next,
		}
		return sizeOf(changed)
	}
	return s.await(request.GetTypeUrl(), w), nil
}
