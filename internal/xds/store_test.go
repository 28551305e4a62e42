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

// TestSlowClient holds that a client which acknowledges nothing holds up nobody, and is sent the newest when it does.
func TestSlowClient(t *testing.T) {
	s := serve(t, &script{complete: true}, Options{})
	slow := &client{t: t, stream: dial(t, s.Address(), nil), mute: true}
	slow.receive()
	slow.send(&discovery.DiscoveryRequest{TypeUrl: entryType})
	slow.await(entryType)
	quick := connect(t, s.Address(), nil, entryType)
	quick.await(entryType)
	for n := range 20 {
		s.change("a", webEntry("a", fmt.Sprint("10.0.0.", n)))
		eventually(t, func() bool { return quick.count(entryType) >= n+2 }, "the quick client waits")
	}
	if count := slow.count(entryType); count != 1 {
		t.Errorf("the slow client was sent %d answers that it had not asked for", count-1)
	}
	slow.mu.Lock()
	slow.mute = false
	last := slow.answers[0]
	slow.mu.Unlock()
	slow.send(&discovery.DiscoveryRequest{TypeUrl: entryType, VersionInfo: last.GetVersionInfo(), ResponseNonce: last.GetNonce()})
	eventually(t, func() bool { return cmp.Equal(slow.holds(entryType), quick.holds(entryType)) }, "the slow client is behind")
}

// TestStalledClient holds that a client which doesn't read, so that what it is sent fills its connection, holds up
// nobody.
func TestStalledClient(t *testing.T) {
	state := &script{complete: true}
	for n := range 100 { // 20 MB, far more than a connection takes in
		large := webEntry(fmt.Sprint("large-", n))
		large.Annotations = map[string]string{"text": strings.Repeat("x", 200_000)}
		state.set(fmt.Sprint("large-", n), large)
	}
	s := serve(t, state, Options{})
	stalled := dial(t, s.Address(), nil)
	if err := stalled.Send(&discovery.DiscoveryRequest{TypeUrl: entryType}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.pushes.WithLabelValues("ServiceEntry")) == 1 }, "it was sent nothing")
	quick := connect(t, s.Address(), nil, workloadType)
	quick.await(workloadType)
	for n := range 5 {
		id := fmt.Sprint(n)
		s.change("small", webEntry("small", "10.0.0.1"), workload("small", id, "10.0.0.1"))
		quick.await(workloadType, "ns/small-"+id+".consul")
	}
	if sent := testutil.ToFloat64(s.metrics.pushes.WithLabelValues("ServiceEntry")); sent != 1 {
		t.Errorf("the stalled client was sent %v answers", sent)
	}
}

// TestPace holds that all that is sent calls for a pause, first answers too and to all clients together, and that a client
// which comes back for more is answered with the next push, not at once.
func TestPace(t *testing.T) {
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
	answers := make(chan cache.Response, 1)
	// ask has a client come that was sent these versions, and says whether it is answered at once.
	ask := func(had map[string]string) (comeBack func(), answered bool) {
		sub := stream.NewSotwSubscription(nil, true)
		sub.SetReturnedResources(had)
		comeBack, err := s.CreateWatch(&discovery.DiscoveryRequest{TypeUrl: entryType}, sub, answers)
		if err != nil {
			t.Fatal(err)
		}
		return comeBack, len(answers) == 1
	}
	var had map[string]string
	for n := range 3 {
		if _, answered := ask(nil); !answered {
			t.Fatal("a first request has to wait")
		}
		had = (<-answers).GetReturnedResources()
		if rest, least := s.resting(), time.Duration(n+1)*pause(20<<20); rest < least-time.Second/20 || rest > least+time.Second/20 {
			t.Errorf("after %d answers of 20 MB it rests for %s, not %s", n+1, rest, least)
		}
	}
	set(webEntry("small"))
	if _, answered := ask(had); answered {
		t.Error("who comes back was answered at once")
	}
	select {
	case <-s.late:
	default:
		t.Error("nobody was told that somebody waits")
	}
	if s.publish(nil, nil); len(answers) != 1 {
		t.Error("it was not answered with the next push")
	}
	had = (<-answers).GetReturnedResources()
	comeBack, _ := ask(had)
	if len(s.late) != 0 {
		t.Error("who has the newest calls for a push")
	}
	comeBack()
}
