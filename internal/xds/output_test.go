package xds

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestNothingPartial holds that a type which we have nothing of is answered at once and once, and that services come
// only when all of them are known, and then all of them.
func TestNothingPartial(t *testing.T) {
	s := serve(t, &script{}, Options{})
	c := connect(t, s.Address(), nil, "core/v1alpha1/MeshConfig", "networking.istio.io/v1/Gateway", entryType, workloadType,
		"networking.istio.io/v1alpha3/ServiceEntry")
	s.change("a", webEntry("a", "10.0.0.1"))
	s.change("b", webEntry("b", "10.0.0.2"), workload("b", "1", "10.0.0.2"))
	c.await("core/v1alpha1/MeshConfig")
	c.await("networking.istio.io/v1/Gateway")
	if held := c.holds(entryType); held != nil || s.Ready() == nil {
		t.Errorf("before everything is known, it is ready or serves %v", held)
	}
	s.complete()
	c.await(entryType, "ns/a.consul", "ns/b.consul")
	c.await("networking.istio.io/v1alpha3/ServiceEntry", "ns/a.consul", "ns/b.consul")
	c.await(workloadType, "ns/b-1.consul")
	eventually(t, func() bool { return s.Ready() == nil }, "it is not ready")
	for _, typeURL := range []string{"core/v1alpha1/MeshConfig", "networking.istio.io/v1/Gateway", entryType} {
		if count := c.count(typeURL); count != 1 {
			t.Errorf("%s was answered %d times", typeURL, count)
		}
	}
}

// TestEmptyWorld holds that an empty catalog is served as such once it is known to be empty.
func TestEmptyWorld(t *testing.T) {
	s := serve(t, &script{complete: true}, Options{})
	c := connect(t, s.Address(), nil, entryType, workloadType)
	c.await(entryType)
	c.await(workloadType)
}

// TestChanges holds that each change arrives with everything else, that nothing else is sent anew, and that a service
// which leaves loses its endpoints at once and its entry after the grace time.
func TestChanges(t *testing.T) {
	const grace = 300 * time.Millisecond
	state := &script{complete: true}
	state.set("a", webEntry("a", "10.0.0.1"))
	state.set("b", webEntry("b", "10.0.0.2"), workload("b", "1", "10.0.0.2"))
	s := serve(t, state, Options{Grace: grace})
	c := connect(t, s.Address(), nil, entryType, workloadType)
	c.await(entryType, "ns/a.consul", "ns/b.consul")
	before := c.holds(entryType)

	s.change("a", webEntry("a", "10.0.0.9"))
	eventually(t, func() bool { return c.holds(entryType)["ns/a.consul"] != before["ns/a.consul"] }, "a did not change")
	if after := c.holds(entryType); after["ns/b.consul"] != before["ns/b.consul"] {
		t.Error("b has another version though it stayed as it was")
	}
	began := time.Now()
	s.change("b")
	c.await(workloadType)
	c.await(entryType, "ns/a.consul")
	if took := time.Since(began); took < grace {
		t.Errorf("the entry left after %s", took)
	}
	if count := c.count(workloadType); count != 2 {
		t.Errorf("WorkloadEntries were sent %d times, though they changed once", count)
	}
}

// TestBurst holds that a burst is one push or two: one that was under way when it came, and the rest.
func TestBurst(t *testing.T) {
	s := serve(t, &script{complete: true}, Options{})
	c := connect(t, s.Address(), nil, entryType)
	c.await(entryType)
	names := make([]string, 500)
	for n := range names {
		label := fmt.Sprint("s", n)
		s.change(label, webEntry(label, "10.0.0.1"))
		names[n] = "ns/" + label + ".consul"
	}
	c.await(entryType, names...)
	if count := c.count(entryType) - 1; count > 2 {
		t.Errorf("500 changes in one go were %d pushes", count)
	}
}

// TestVersions holds that what is sent depends on the content alone: not on the order of events, not on the server. An
// istiod that changes to another replica is sent what it has.
func TestVersions(t *testing.T) {
	one, other := &script{complete: true}, &script{complete: true}
	first := serve(t, one, Options{})
	first.change("a", webEntry("a", "10.0.0.9"))
	first.change("b", webEntry("b", "10.0.0.2"))
	first.change("a", webEntry("a", "10.0.0.1"))
	other.set("b", webEntry("b", "10.0.0.2"))
	other.set("a", webEntry("a", "10.0.0.1"))
	second := serve(t, other, Options{})
	here := connect(t, first.Address(), nil, entryType)
	here.await(entryType, "ns/a.consul", "ns/b.consul")
	there := connect(t, second.Address(), nil, entryType)
	there.await(entryType, "ns/a.consul", "ns/b.consul")
	eventually(t, func() bool { return cmp.Equal(here.holds(entryType), there.holds(entryType)) },
		"the versions of two replicas differ")
	if a, b := first.store.collections["ServiceEntry"].version(), second.store.collections["ServiceEntry"].version(); a != b {
		t.Errorf("the versions of everything are %s and %s", a, b)
	}
}

// TestRejection holds that istiod's words are told, and that what it rejected it is not sent again until there is
// something new.
func TestRejection(t *testing.T) {
	state := &script{complete: true}
	state.set("a", webEntry("a", "10.0.0.1"))
	s := serve(t, state, Options{})
	c := &client{t: t, stream: dial(t, s.Address(), nil), reject: "no such host"}
	c.receive()
	c.send(&discovery.DiscoveryRequest{TypeUrl: entryType})
	eventually(t, func() bool { return strings.Contains(s.log.String(), "no such host") }, "the log doesn't have istiod's words")
	if count := c.count(entryType); count != 1 {
		t.Errorf("it was sent %d times", count)
	}
	s.change("b", webEntry("b", "10.0.0.1"))
	c.await(entryType, "ns/a.consul", "ns/b.consul")
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.rejections.WithLabelValues("ServiceEntry")) == 2 },
		"the rejections are not counted")
}

// TestNamesAreRefused holds that whoever asks for single resources is told how to ask.
func TestNamesAreRefused(t *testing.T) {
	s := serve(t, &script{complete: true}, Options{})
	c := connect(t, s.Address(), nil)
	c.send(&discovery.DiscoveryRequest{TypeUrl: entryType, ResourceNames: []string{"ns/a.consul"}})
	eventually(t, func() bool { return status.Code(c.failed()) == codes.InvalidArgument }, "it was not refused")
}

// TestDrain holds that a server which stops says so, and that its clients' streams end without an error.
func TestDrain(t *testing.T) {
	s := serve(t, &script{complete: true}, Options{})
	c := connect(t, s.Address(), nil, entryType)
	c.await(entryType)
	s.stop()
	if s.Ready() == nil {
		t.Error("it is ready though it stops")
	}
	eventually(t, func() bool { return c.failed() != nil }, "the stream goes on")
	if failure := c.failed(); failure.Error() != "EOF" {
		t.Errorf("the stream ended with %v", failure)
	}
}

// TestDrainFinishes holds that a client which is receiving a large answer when the server stops receives all of it.
func TestDrainFinishes(t *testing.T) {
	state, names := &script{complete: true}, 100
	for n := range names { // 20 MB, far more than a connection takes in
		large := webEntry(fmt.Sprint("large-", n))
		large.Annotations = map[string]string{"text": strings.Repeat("x", 200_000)}
		state.set(fmt.Sprint("large-", n), large)
	}
	s := serve(t, state, Options{})
	stream := dial(t, s.Address(), nil)
	if err := stream.Send(&discovery.DiscoveryRequest{TypeUrl: entryType}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.pushes.WithLabelValues("ServiceEntry")) == 1 }, "it was sent nothing")
	go s.stop()
	eventually(t, func() bool { return errors.Is(s.Ready(), errDraining) }, "it doesn't stop")
	answer, err := stream.Recv()
	if err != nil || len(answer.GetResources()) != names {
		t.Errorf("%d resources came, %v", len(answer.GetResources()), err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestPause holds the bounds that the pace promises: nothing to wait for in a small catalog, a share of a core in a large
// one.
func TestPause(t *testing.T) {
	if wait := pause(100 << 10); wait > 5*time.Millisecond {
		t.Errorf("after 100 kB it waits %s", wait)
	}
	if wait := pause(30 << 20); wait < 100*time.Millisecond || wait > time.Second {
		t.Errorf("after 30 MB it waits %s", wait)
	}
}
