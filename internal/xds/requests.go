package xds

import (
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// These limits bound the memory of a stream. The server keeps each request, and one watch for each type, until the stream
// ends. go-control-plane waits for all watches of a stream at once and supports at most 65,536.
const (
	// maxTypes is the number of types that a client may request on a stream. istiod requests 16.
	maxTypes = 64
	// maxTypeURL is the longest type URL, in bytes.
	maxTypeURL = 200
	// maxVersions limits the names and versions in the first requests of a delta client, in bytes.
	maxVersions = maxRequest
)

// laterNonce is the nonce of every delta request except the first one for a type.
const laterNonce = "later"

var (
	errTypes = status.Errorf(codes.InvalidArgument,
		"too many types or type URL too long: request at most %d types of at most %d bytes", maxTypes, maxTypeURL)
	errVersions = status.Errorf(codes.InvalidArgument,
		"initial resource versions too large: send at most %d bytes", maxVersions)
	errNames = status.Error(codes.InvalidArgument,
		"MCP over xDS serves whole collections: request without resource names")
)

// streamState holds the requests of a stream so far.
type streamState struct {
	// address is the address of the client.
	address string
	// types are the type URLs that the client requested.
	types map[string]bool
	// versionBytes is the size of the initial resource versions that the client sent.
	versionBytes int
}

// validate checks a request and clears the fields that are not used, because the server keeps the request.
func (s *streamState) validate(r *discovery.DiscoveryRequest) error {
	if _, err := s.addType(r.GetTypeUrl(), r.GetResourceNames()); err != nil {
		return err
	}
	node, typeURL, names, nonce := trim(r.GetNode()), r.GetTypeUrl(), r.GetResourceNames(), r.GetResponseNonce()
	proto.Reset(r)
	r.Node, r.TypeUrl, r.ResourceNames, r.ResponseNonce = node, typeURL, names, truncate(nonce)
	return nil
}

// validateDelta is validate for the delta protocol. Initial resource versions count in the first request for a type only.
// validateDelta sets the nonce to mark later requests, because clients may omit it.
func (s *streamState) validateDelta(r *discovery.DeltaDiscoveryRequest) error {
	first, err := s.addType(r.GetTypeUrl(), r.GetResourceNamesSubscribe(), r.GetResourceNamesUnsubscribe())
	if err != nil {
		return err
	}
	nonce, versions := "", r.GetInitialResourceVersions()
	if !first {
		nonce = laterNonce
	}
	if _, served := kindOfType[r.GetTypeUrl()]; !first || !served {
		versions = nil
	}
	for name, version := range versions {
		if s.versionBytes += len(name) + len(version); s.versionBytes > maxVersions {
			return errVersions
		}
	}
	node, typeURL := trim(r.GetNode()), r.GetTypeUrl()
	subscribe, unsubscribe := r.GetResourceNamesSubscribe(), r.GetResourceNamesUnsubscribe()
	proto.Reset(r)
	r.Node, r.TypeUrl, r.ResponseNonce, r.InitialResourceVersions = node, typeURL, nonce, versions
	r.ResourceNamesSubscribe, r.ResourceNamesUnsubscribe = subscribe, unsubscribe
	return nil
}

// addType records a type that the client requests. It reports whether this is the first request for the type.
func (s *streamState) addType(typeURL string, names ...[]string) (first bool, err error) {
	for _, list := range names {
		if len(list) > 1 || len(list) == 1 && list[0] != "*" {
			return false, errNames
		}
	}
	if s.types[typeURL] {
		return false, nil
	}
	if len(s.types) == maxTypes || len(typeURL) > maxTypeURL {
		return false, errTypes
	}
	s.types[typeURL] = true
	return true, nil
}

// trim removes everything except the ID from a node. It changes the node in place, because go-control-plane keeps it.
func trim(node *core.Node) *core.Node {
	if node == nil {
		return nil
	}
	id := truncate(node.GetId())
	proto.Reset(node)
	node.Id = id
	return node
}
