package xds

import (
	"strconv"
	"strings"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// collectionKey is the key of the collection's version among the versions of the resources that a client was sent.
	collectionKey = "*"
	// editionMark separates the collection's version from the edition.
	editionMark = "@"
)

// watch is a client that waits for a change of one kind. It is answered once.
type watch struct {
	kind mesh.Kind
	// first is true for the first request of a type on a stream. It is answered even if the client has the newest version.
	first bool
	// version is the version of the collection that the client has.
	version string
	// ackedEdition is the edition of that version.
	ackedEdition uint64
	// send sends the difference between the collection and the state of the client. It returns the number of bytes.
	//
	// send never blocks. A state-of-the-world watch has a channel of its own with a buffer of one response. The delta
	// watches of a stream share one channel, and the stream drains it before it handles a request. Between two drains each
	// type URL in kindOfType is answered at most once, and the type of the request once more: at most 10 responses. The
	// channel has a buffer of twice the number of Envoy's types, which is 20 (TestResponseBuffer).
	send func(c *collection, stamp string) (bytes int)
}

func newWatch(sub cache.Subscription, first bool) *watch {
	w := &watch{first: first}
	version, edition, _ := strings.Cut(sub.ReturnedResources()[collectionKey], editionMark)
	if !first {
		w.version = version
		w.ackedEdition, _ = strconv.ParseUint(edition, 10, 64) // answer wrote the number
	}
	return w
}

// CreateWatch implements cache.ConfigWatcher for the state-of-the-world protocol. A response that a client rejected is not
// sent again until the collection changes.
func (s *store) CreateWatch(request *cache.Request, sub cache.Subscription, responses chan cache.Response) (func(), error) {
	if !sub.IsWildcard() {
		return nil, errNames
	}
	// The nonce does not identify the first request: istiod invents one for it.
	_, answered := sub.ReturnedResources()[collectionKey]
	w := newWatch(sub, !answered)
	w.send = func(c *collection, stamp string) int {
		responses <- &cache.PassthroughResponse{
			Request: request,
			DiscoveryResponse: &discovery.DiscoveryResponse{
				VersionInfo: c.version(), TypeUrl: request.GetTypeUrl(), Resources: c.all(),
			},
			ReturnedResources: map[string]string{collectionKey: stamp},
		}
		return c.bytes
	}
	return s.add(request.GetTypeUrl(), w), nil
}

// CreateDeltaWatch implements cache.ConfigWatcher for the delta protocol. A client is sent the difference from the
// resources that it has. A client that comes from another replica names these resources in its first request.
func (s *store) CreateDeltaWatch(
	request *cache.DeltaRequest, sub cache.Subscription, responses chan cache.DeltaResponse,
) (func(), error) {
	if !sub.IsWildcard() {
		return nil, errNames
	}
	w := newWatch(sub, request.GetResponseNonce() == "")
	w.send = func(c *collection, stamp string) int {
		changed, removed := c.since(sub.ReturnedResources())
		next := c.versions()
		next[collectionKey] = stamp
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
	return s.add(request.GetTypeUrl(), w), nil
}
