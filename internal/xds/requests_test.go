package xds

import (
	"fmt"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// TestTypesAreBounded verifies that the stream of a client that requests too many types is closed, in either protocol, and
// that other clients are not affected.
func TestTypesAreBounded(t *testing.T) {
	s := serve(t, &fakeState{complete: true}, Options{})
	steady := connect(t, s.Address(), nil, entryType)
	var many []string
	for n := range maxTypes {
		many = append(many, fmt.Sprint("type-", n))
	}
	greedy := connect(t, s.Address(), nil, many...)
	greedy.await(many[maxTypes-1])
	if err := greedy.failed(); err != nil {
		t.Errorf("the stream with %d types was closed: %v", maxTypes, err)
	}
	greedy.request("one more")
	eventually(t, func() bool { return status.Code(greedy.failed()) == codes.InvalidArgument }, "the stream was not closed")

	long := connect(t, s.Address(), nil, strings.Repeat("x", maxTypeURL+1))
	eventually(t, func() bool { return status.Code(long.failed()) == codes.InvalidArgument }, "a long type URL was accepted")

	delta := connectDelta(t, s.Address(), many[0], nil)
	for n := range maxTypes {
		_ = delta.stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: fmt.Sprint("other-", n)})
	}
	var err error
	for err == nil {
		_, err = delta.stream.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("the delta stream ended with %v", err)
	}
	s.change("a", webEntry("a", "10.0.0.1"))
	steady.await(entryType, "ns/a.consul")
}

// TestRequestsAreTrimmed verifies that a stream keeps only the fields of a request that are used, because it keeps them
// until it ends.
func TestRequestsAreTrimmed(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	s := &streamState{types: map[string]bool{}}
	r := &discovery.DiscoveryRequest{
		TypeUrl: entryType, VersionInfo: long, ResponseNonce: long, Node: &core.Node{Id: long, Cluster: long},
	}
	if err := s.validate(r); err != nil || proto.Size(r) > 3*maxLogged {
		t.Errorf("the stream keeps %d bytes, error %v", proto.Size(r), err)
	}
	first := &discovery.DeltaDiscoveryRequest{TypeUrl: workloadType, InitialResourceVersions: map[string]string{"ns/a": "1"}}
	if err := s.validateDelta(first); err != nil || len(first.GetInitialResourceVersions()) != 1 {
		t.Errorf("the versions of a first request are %v, error %v", first.GetInitialResourceVersions(), err)
	}
	for _, typeURL := range []string{workloadType, "core/v1alpha1/MeshConfig"} {
		later := &discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, InitialResourceVersions: map[string]string{long: long}}
		if err := s.validateDelta(later); err != nil || proto.Size(later) > 1000 {
			t.Errorf("the stream keeps %d bytes of a request for %s, error %v", proto.Size(later), typeURL, err)
		}
	}
	large := map[string]string{}
	for n := range maxVersions >> 20 {
		large[fmt.Sprint(n, long)] = "1"
	}
	err := s.validateDelta(&discovery.DeltaDiscoveryRequest{TypeUrl: "networking.istio.io/v1alpha3/ServiceEntry", InitialResourceVersions: large})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("%d bytes of versions: error %v, want InvalidArgument", maxVersions, err)
	}
}
