package xds

import (
	"context"
	"maps"
	"strings"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/genproto/googleapis/rpc/status"
)

// TestDelta verifies that a client of the delta protocol receives the changes only, also when it comes from another replica
// with the resources that it has.
func TestDelta(t *testing.T) {
	state := &fakeState{complete: true}
	state.set("a", webEntry("a", "10.0.0.1"))
	state.set("b", webEntry("b", "10.0.0.2"))
	s := serve(t, state, Options{})
	c := connectDelta(t, s.Address(), entryType, nil)
	if changed, removed := c.next(); len(changed) != 2 || removed != nil {
		t.Errorf("first response: changed %v, removed %v", changed, removed)
	}
	s.change("a", webEntry("a", "10.0.0.9"))
	if changed, removed := c.next(); !cmp.Equal(changed, []string{"ns/a.consul"}) || removed != nil {
		t.Errorf("after a change: changed %v, removed %v", changed, removed)
	}
	s.change("b")
	if changed, removed := c.next(); changed != nil || !cmp.Equal(removed, []string{"ns/b.consul"}) {
		t.Errorf("after a removal: changed %v, removed %v", changed, removed)
	}
	again := connectDelta(t, s.Address(), entryType, c.versions)
	if changed, removed := again.next(); changed != nil || removed != nil {
		t.Errorf("a client with all resources received: changed %v, removed %v", changed, removed)
	}
}

// TestDeltaRejection verifies that a rejection in the delta protocol is logged, that the rejected response is not sent again
// until there is another change, and that a later request without a nonce does not resend all resources.
func TestDeltaRejection(t *testing.T) {
	state := &fakeState{complete: true}
	state.set("a", webEntry("a", "10.0.0.1"))
	s := serve(t, state, Options{})
	c := connectDelta(t, s.Address(), entryType, nil)
	c.reject = "no such host"
	c.next()
	eventually(t, func() bool { return strings.Contains(s.log.String(), `error="no such host"`) }, "the rejection is not logged")
	if rejected := testutil.ToFloat64(s.metrics.rejections.WithLabelValues("ServiceEntry")); rejected != 1 {
		t.Errorf("%v rejections are counted, want 1", rejected)
	}
	if err := c.stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: entryType}); err != nil {
		t.Fatal(err)
	}
	s.change("b", webEntry("b", "10.0.0.2"))
	if changed, removed := c.next(); !cmp.Equal(changed, []string{"ns/b.consul"}) || removed != nil {
		t.Errorf("after the rejection: changed %v, removed %v", changed, removed)
	}
}

// TestResponseBuffer verifies that the buffer of a delta stream holds one response for each type URL and one more, because
// the store sends responses while it holds its mutex.
func TestResponseBuffer(t *testing.T) {
	if buffer := 2 * int(types.UnknownType); len(kindOfType)+1 > buffer {
		t.Errorf("%d type URLs are served, but the buffer of go-control-plane has %d responses", len(kindOfType), buffer)
	}
}

// deltaClient is a client of the delta protocol.
type deltaClient struct {
	t      *testing.T
	stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	// versions are the versions of the resources that the client has.
	versions map[string]string
	// reject makes the client reject each response with this message.
	reject string
}

// connectDelta requests a type. The versions are those of the resources that the client has from another replica.
func connectDelta(t *testing.T, address, typeURL string, versions map[string]string) *deltaClient {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection(t, address, nil)).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, InitialResourceVersions: versions}); err != nil {
		t.Fatal(err)
	}
	if versions == nil {
		versions = map[string]string{}
	}
	return &deltaClient{t: t, stream: stream, versions: maps.Clone(versions)}
}

// next receives and acknowledges one response. It returns the names of the changed and of the removed resources.
func (c *deltaClient) next() (changed, removed []string) {
	c.t.Helper()
	response, err := c.stream.Recv()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range response.GetResources() {
		changed = append(changed, r.GetName())
		c.versions[r.GetName()] = r.GetVersion()
	}
	for _, name := range response.GetRemovedResources() {
		removed = append(removed, name)
		delete(c.versions, name)
	}
	ack := &discovery.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}
	if c.reject != "" {
		ack.ErrorDetail = &status.Status{Message: c.reject}
	}
	if err := c.stream.Send(ack); err != nil {
		c.t.Fatal(err)
	}
	return changed, removed
}
