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

// TestTypesAreBounded holds that a client which asks for ever more types is sent away, by either protocol, and that
// nobody else takes notice.
func TestTypesAreBounded(t *testing.T) {
	s := serve(t, &script{complete: true}, Options{})
	steady := connect(t, s.Address(), nil, entryType)
	var many []string
	for n := range maxTypes {
		many = append(many, fmt.Sprint("type-", n))
	}
	greedy := connect(t, s.Address(), nil, many...)
	greedy.await(many[maxTypes-1])
	if err := greedy.failed(); err != nil {
		t.Errorf("it was sent away with %d types: %v", maxTypes, err)
	}
	greedy.ask("one more")
	eventually(t, func() bool { return status.Code(greedy.failed()) == codes.InvalidArgument }, "it was not sent away")

	long := connect(t, s.Address(), nil, strings.Repeat("x", maxTypeURL+1))
	eventually(t, func() bool { return status.Code(long.failed()) == codes.InvalidArgument }, "a long type is taken")

	delta := connectDelta(t, s.Address(), many[0], nil)
	for n := range maxTypes {
		_ = delta.stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: fmt.Sprint("other-", n)})
	}
	var err error
	for err == nil {
		_, err = delta.stream.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("by the delta protocol it ended with %v", err)
	}
	s.change("a", webEntry("a", "10.0.0.1"))
	steady.await(entryType, "ns/a.consul")
}

// TestRequestsAreLightened holds that of what a client sends only what is of use is kept: it is for as long as the stream
// lasts.
func TestRequestsAreLightened(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	a := &asking{types: map[string]bool{}}
	r := &discovery.DiscoveryRequest{
		TypeUrl: entryType, VersionInfo: long, ResponseNonce: long, Node: &core.Node{Id: long, Cluster: long},
	}
	if err := a.admit(r); err != nil || proto.Size(r) > 3*longestWords {
		t.Errorf("%d bytes are kept, %v", proto.Size(r), err)
	}
	first := &discovery.DeltaDiscoveryRequest{TypeUrl: workloadType, InitialResourceVersions: map[string]string{"ns/a": "1"}}
	if err := a.admitDelta(first); err != nil || len(first.GetInitialResourceVersions()) != 1 {
		t.Errorf("the versions of a first request are %v, %v", first.GetInitialResourceVersions(), err)
	}
	for _, typeURL := range []string{workloadType, "core/v1alpha1/MeshConfig"} {
		later := &discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, InitialResourceVersions: map[string]string{long: long}}
		if err := a.admitDelta(later); err != nil || proto.Size(later) > 1000 {
			t.Errorf("%d bytes of %s are kept, %v", proto.Size(later), typeURL, err)
		}
	}
	heavy := map[string]string{}
	for n := range maxVersions >> 20 {
		heavy[fmt.Sprint(n, long)] = "1"
	}
	err := a.admitDelta(&discovery.DeltaDiscoveryRequest{TypeUrl: "networking.istio.io/v1alpha3/ServiceEntry", InitialResourceVersions: heavy})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("%d bytes of versions: %v", maxVersions, err)
	}
}
