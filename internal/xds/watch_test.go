package xds

import (
	"context"
	"maps"
	"strings"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/genproto/googleapis/rpc/status"
)

// TestDelta holds that a client of the delta protocol is sent what changed and nothing else, also where it comes from
// another replica with what it has.
func TestDelta(t *testing.T) {
	state := &script{complete: true}
	state.set("a", webEntry("a", "10.0.0.1"))
	state.set("b", webEntry("b", "10.0.0.2"))
	s := serve(t, state, Options{})
	c := connectDelta(t, s.Address(), entryType, nil)
	if changed, removed := c.next(); len(changed) != 2 || removed != nil {
		t.Errorf("at first came %v, and %v went", changed, removed)
	}
	s.change("a", webEntry("a", "10.0.0.9"))
	if changed, removed := c.next(); !cmp.Equal(changed, []string{"ns/a.consul"}) || removed != nil {
		t.Errorf("with a change came %v, and %v went", changed, removed)
	}
	s.change("b")
	if changed, removed := c.next(); changed != nil || !cmp.Equal(removed, []string{"ns/b.consul"}) {
		t.Errorf("with a removal came %v, and %v went", changed, removed)
	}
	again := connectDelta(t, s.Address(), entryType, c.held)
	if changed, removed := again.next(); changed != nil || removed != nil {
		t.Errorf("who has everything was sent %v and %v", changed, removed)
	}
}

// TestDeltaRejection holds that what a client of the delta protocol rejected is told, and not sent again until something
// else is there to send; and that who asks again without a nonce isn't sent everything again.
func TestDeltaRejection(t *testing.T) {
	state := &script{complete: true}
	state.set("a", webEntry("a", "10.0.0.1"))
	s := serve(t, state, Options{})
	c := connectDelta(t, s.Address(), entryType, nil)
	c.reject = "no such host"
	c.next()
	eventually(t, func() bool { return strings.Contains(s.log.String(), "no such host") }, "the log doesn't have its words")
	if rejected := testutil.ToFloat64(s.metrics.rejections.WithLabelValues("ServiceEntry")); rejected != 1 {
		t.Errorf("%v rejections are counted", rejected)
	}
	if err := c.stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: entryType}); err != nil {
		t.Fatal(err)
	}
	s.change("b", webEntry("b", "10.0.0.2"))
	if changed, removed := c.next(); !cmp.Equal(changed, []string{"ns/b.consul"}) || removed != nil {
		t.Errorf("then came %v, and %v went", changed, removed)
	}
}

// deltaClient is a client of the delta protocol.
type deltaClient struct {
	t      *testing.T
	stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	held   map[string]string
	// reject has it reject with these words.
	reject string
}

// connectDelta asks for a type, with the versions that it holds from another server.
func connectDelta(t *testing.T, address, typeURL string, held map[string]string) *deltaClient {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection(t, address, nil)).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, InitialResourceVersions: held}); err != nil {
		t.Fatal(err)
	}
	if held == nil {
		held = map[string]string{}
	}
	return &deltaClient{t: t, stream: stream, held: maps.Clone(held)}
}

// next takes one answer and acknowledges it. It returns which resources came and which went.
func (c *deltaClient) next() (changed, removed []string) {
	c.t.Helper()
	answer, err := c.stream.Recv()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range answer.GetResources() {
		changed = append(changed, r.GetName())
		c.held[r.GetName()] = r.GetVersion()
	}
	for _, name := range answer.GetRemovedResources() {
		removed = append(removed, name)
		delete(c.held, name)
	}
	ack := &discovery.DeltaDiscoveryRequest{TypeUrl: answer.GetTypeUrl(), ResponseNonce: answer.GetNonce()}
	if c.reject != "" {
		ack.ErrorDetail = &status.Status{Message: c.reject}
	}
	if err := c.stream.Send(ack); err != nil {
		c.t.Fatal(err)
	}
	return changed, removed
}
