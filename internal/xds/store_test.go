package xds

import (
	"fmt"
	"strings"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestSlowClient verifies that a client that does not acknowledge a response delays no other client, and receives the newest
// version once it acknowledges.
func TestSlowClient(t *testing.T) {
	s := serve(t, &fakeState{complete: true}, Options{})
	slow := &client{t: t, stream: dial(t, s.Address(), nil), mute: true}
	slow.receive()
	slow.send(&discovery.DiscoveryRequest{TypeUrl: entryType})
	slow.await(entryType)
	quick := connect(t, s.Address(), nil, entryType)
	quick.await(entryType)
	for n := range 20 {
		s.change("a", webEntry("a", fmt.Sprint("10.0.0.", n)))
		eventually(t, func() bool { return quick.count(entryType) >= n+2 }, "the quick client is delayed")
	}
	if count := slow.count(entryType); count != 1 {
		t.Errorf("the slow client received %d responses without a request", count-1)
	}
	slow.mu.Lock()
	slow.mute = false
	last := slow.responses[0]
	slow.mu.Unlock()
	slow.send(&discovery.DiscoveryRequest{TypeUrl: entryType, VersionInfo: last.GetVersionInfo(), ResponseNonce: last.GetNonce()})
	eventually(t, func() bool { return cmp.Equal(slow.resources(entryType), quick.resources(entryType)) }, "the slow client did not receive the newest version")
}

// TestStalledClient verifies that a client that does not read, and so fills the buffers of its connection, delays no other
// client.
func TestStalledClient(t *testing.T) {
	state := &fakeState{complete: true}
	for n := range 100 { // 20 MB, more than the buffers of a connection
		large := webEntry(fmt.Sprint("large-", n))
		large.Annotations = map[string]string{"text": strings.Repeat("x", 200_000)}
		state.set(fmt.Sprint("large-", n), large)
	}
	s := serve(t, state, Options{})
	stalled := dial(t, s.Address(), nil)
	if err := stalled.Send(&discovery.DiscoveryRequest{TypeUrl: entryType}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.pushes.WithLabelValues("ServiceEntry")) == 1 }, "no response was sent")
	quick := connect(t, s.Address(), nil, workloadType)
	quick.await(workloadType)
	for n := range 5 {
		id := fmt.Sprint(n)
		s.change("small", webEntry("small", "10.0.0.1"), workload("small", id, "10.0.0.1"))
		quick.await(workloadType, "ns/small-"+id+".consul")
	}
	if sent := testutil.ToFloat64(s.metrics.pushes.WithLabelValues("ServiceEntry")); sent != 1 {
		t.Errorf("the stalled client was sent %v responses, want 1", sent)
	}
}

// TestSentBytesThrottlePushes verifies that all sent bytes count for the throttle, including first responses and those to
// all clients together, and that a later request is answered with the next push and not at once.
func TestSentBytesThrottlePushes(t *testing.T) {
	s := newStore()
	large := webEntry("large")
	large.Annotations = map[string]string{"text": strings.Repeat("x", 20<<20)}
	set := func(object mesh.Object) {
		r, err := encode(object)
		if err != nil {
			t.Fatal(err)
		}
		s.publish([]*resource{r}, nil)
	}
	set(large)
	responses := make(chan cache.Response, 1)
	// request adds a watch of a client that was sent these versions. It reports whether the watch is answered at once.
	request := func(had map[string]string) (cancel func(), answered bool) {
		sub := stream.NewSotwSubscription(nil, true)
		sub.SetReturnedResources(had)
		cancel, err := s.CreateWatch(&discovery.DiscoveryRequest{TypeUrl: entryType}, sub, responses)
		if err != nil {
			t.Fatal(err)
		}
		return cancel, len(responses) == 1
	}
	var had map[string]string
	for n := range 3 {
		if _, answered := request(nil); !answered {
			t.Fatal("a first request was not answered at once")
		}
		had = (<-responses).GetReturnedResources()
		if pause, want := s.throttledFor(), time.Duration(n+1)*throttleFor(20<<20); pause < want-time.Second/20 || pause > want+time.Second/20 {
			t.Errorf("the pause after %d responses of 20 MB is %s, want %s", n+1, pause, want)
		}
	}
	set(webEntry("small"))
	if _, answered := request(had); answered {
		t.Error("a later request was answered at once")
	}
	select {
	case <-s.laggards:
	default:
		t.Error("no push was requested for the waiting client")
	}
	if s.publish(nil, nil); len(responses) != 1 {
		t.Error("the later request was not answered with the next push")
	}
	had = (<-responses).GetReturnedResources()
	cancel, _ := request(had)
	if len(s.laggards) != 0 {
		t.Error("a client with the newest version requested a push")
	}
	cancel()
}
