package xds

import (
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// What a client may ask for on a stream. What it asked for is kept for as long as the stream lasts, a watch for each
// type: go-control-plane waits for all of them at once, which has an end at 65,536.
const (
	maxTypes   = 64  // istiod asks for 16
	maxTypeURL = 200 // bytes
	// maxVersions is how many bytes of names and versions a client of the delta protocol may bring along.
	maxVersions = maxRequest
)

// again is the nonce of every request of the delta protocol but the first for a type.
const again = "again"

var (
	errTypes    = status.Errorf(codes.InvalidArgument, "more than %d types, or one with more than %d bytes", maxTypes, maxTypeURL)
	errVersions = status.Errorf(codes.InvalidArgument, "more than %d bytes of initial resource versions", maxVersions)
	errNames    = status.Error(codes.InvalidArgument, "MCP over xDS serves whole collections: ask without resource names")
)

// asking is what a stream has asked for so far.
type asking struct {
	// address is the client's.
	address  string
	types    map[string]bool
	versions int
}

// admit looks at a request, and takes out of it what is of no use to us, so that nothing of that is kept.
func (a *asking) admit(r *discovery.DiscoveryRequest) error {
	if _, err := a.take(r.GetTypeUrl(), r.GetResourceNames()); err != nil {
		return err
	}
	node, typeURL, names, nonce := lighten(r.GetNode()), r.GetTypeUrl(), r.GetResourceNames(), r.GetResponseNonce()
	proto.Reset(r)
	r.Node, r.TypeUrl, r.ResourceNames, r.ResponseNonce = node, typeURL, names, clip(nonce)
	return nil
}

// admitDelta does the same for the delta protocol. The versions that a client has count with its first request for a
// type, and a nonce tells from then on which one that was, whether the client sends one or not.
func (a *asking) admitDelta(r *discovery.DeltaDiscoveryRequest) error {
	first, err := a.take(r.GetTypeUrl(), r.GetResourceNamesSubscribe(), r.GetResourceNamesUnsubscribe())
	if err != nil {
		return err
	}
	nonce, versions := "", r.GetInitialResourceVersions()
	if !first {
		nonce = again
	}
	if _, ours := kinds[r.GetTypeUrl()]; !first || !ours {
		versions = nil
	}
	for name, version := range versions {
		if a.versions += len(name) + len(version); a.versions > maxVersions {
			return errVersions
		}
	}
	node, typeURL := lighten(r.GetNode()), r.GetTypeUrl()
	subscribe, unsubscribe := r.GetResourceNamesSubscribe(), r.GetResourceNamesUnsubscribe()
	proto.Reset(r)
	r.Node, r.TypeUrl, r.ResponseNonce, r.InitialResourceVersions = node, typeURL, nonce, versions
	r.ResourceNamesSubscribe, r.ResourceNamesUnsubscribe = subscribe, unsubscribe
	return nil
}

// take counts a type. It tells whether it is asked for the first time.
func (a *asking) take(typeURL string, names ...[]string) (first bool, err error) {
	for _, some := range names {
		if len(some) > 1 || len(some) == 1 && some[0] != "*" {
			return false, errNames
		}
	}
	if a.types[typeURL] {
		return false, nil
	}
	if len(a.types) == maxTypes || len(typeURL) > maxTypeURL {
		return false, errTypes
	}
	a.types[typeURL] = true
	return true, nil
}

// lighten leaves a node its ID. The node itself is changed, since go-control-plane keeps it.
func lighten(node *core.Node) *core.Node {
	if node == nil {
		return nil
	}
	id := clip(node.GetId())
	proto.Reset(node)
	node.Id = id
	return node
}
