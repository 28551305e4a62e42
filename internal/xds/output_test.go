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

// TestIncompleteContentIsNotServed verifies that a type without resources is answered immediately and once, and that
// services are served after the initial sync only, and then all of them.
func TestIncompleteContentIsNotServed(t *testing.T) {
	s := serve(t, &fakeState{}, Options{})
	c := connect(t, s.Address(), nil, "core/v1alpha1/MeshConfig", "networking.istio.io/v1/Gateway", entryType, workloadType,
		"networking.istio.io/v1alpha3/ServiceEntry")
	s.change("a", webEntry("a", "10.0.0.1"))
	s.change("b", webEntry("b", "10.0.0.2"), workload("b", "1", "10.0.0.2"))
	c.await("core/v1alpha1/MeshConfig")
	c.await("networking.istio.io/v1/Gateway")
	if versions := c.resources(entryType); versions != nil || s.Ready() == nil {
		t.Errorf("before the initial sync: ready error %v, resources %v", s.Ready(), versions)
	}
	s.completeSync()
	c.await(entryType, "ns/a.consul", "ns/b.consul")
	c.await("networking.istio.io/v1alpha3/ServiceEntry", "ns/a.consul", "ns/b.consul")
	c.await(workloadType, "ns/b-1.consul")
	eventually(t, func() bool { return s.Ready() == nil }, "the output is not ready")
	for _, typeURL := range []string{"core/v1alpha1/MeshConfig", "networking.istio.io/v1/Gateway", entryType} {
		if count := c.count(typeURL); count != 1 {
			t.Errorf("%s was answered %d times, want 1", typeURL, count)
		}
	}
}

// TestEmptyCatalogIsServed verifies that an empty catalog is served after the initial sync.
func TestEmptyCatalogIsServed(t *testing.T) {
	s := serve(t, &fakeState{complete: true}, Options{})
	c := connect(t, s.Address(), nil, entryType, workloadType)
	c.await(entryType)
	c.await(workloadType)
}

// TestChanges verifies that a response has each changed and each unchanged resource, that an unchanged collection is not
// sent again, and that a removed service loses its endpoints immediately and its ServiceEntry after the grace period.
func TestChanges(t *testing.T) {
	const grace = 300 * time.Millisecond
	state := &fakeState{complete: true}
	state.set("a", webEntry("a", "10.0.0.1"))
	state.set("b", webEntry("b", "10.0.0.2"), workload("b", "1", "10.0.0.2"))
	s := serve(t, state, Options{Grace: grace})
	c := connect(t, s.Address(), nil, entryType, workloadType)
	c.await(entryType, "ns/a.consul", "ns/b.consul")
	before := c.resources(entryType)

	s.change("a", webEntry("a", "10.0.0.9"))
	eventually(t, func() bool { return c.resources(entryType)["ns/a.consul"] != before["ns/a.consul"] }, "the change of a was not sent")
	if after := c.resources(entryType); after["ns/b.consul"] != before["ns/b.consul"] {
		t.Error("the version of b changed although b did not")
	}
	start := time.Now()
	s.change("b")
	c.await(workloadType)
	c.await(entryType, "ns/a.consul")
	if took := time.Since(start); took < grace {
		t.Errorf("the ServiceEntry was removed after %s, before the grace period was over", took)
	}
	if count := c.count(workloadType); count != 2 {
		t.Errorf("WorkloadEntries were sent %d times, want 2", count)
	}
}

// TestBurst verifies that a burst causes at most two pushes: one that had started before, and one with the rest.
func TestBurst(t *testing.T) {
	s := serve(t, &fakeState{complete: true}, Options{})
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
		t.Errorf("500 changes in one burst caused %d pushes, want at most 2", count)
	}
}

// TestVersions verifies that versions depend on the content only: not on the order of events and not on the replica. An
// istiod that reconnects to another replica receives the versions that it has.
func TestVersions(t *testing.T) {
	one, other := &fakeState{complete: true}, &fakeState{complete: true}
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
	eventually(t, func() bool { return cmp.Equal(here.resources(entryType), there.resources(entryType)) },
		"the versions of the resources differ between two replicas")
	if a, b := first.store.collections["ServiceEntry"].version(), second.store.collections["ServiceEntry"].version(); a != b {
		t.Errorf("the versions of the collections are %s and %s", a, b)
	}
}

// TestRejection verifies that the error of a rejection is logged, and that a rejected response is not sent again until the
// collection changes.
func TestRejection(t *testing.T) {
	state := &fakeState{complete: true}
	state.set("a", webEntry("a", "10.0.0.1"))
	s := serve(t, state, Options{})
	c := &client{t: t, stream: dial(t, s.Address(), nil), reject: "no such host"}
	c.receive()
	c.send(&discovery.DiscoveryRequest{TypeUrl: entryType})
	eventually(t, func() bool { return strings.Contains(s.log.String(), `error="no such host"`) }, "the rejection is not logged")
	if count := c.count(entryType); count != 1 {
		t.Errorf("the response was sent %d times, want 1", count)
	}
	s.change("b", webEntry("b", "10.0.0.1"))
	c.await(entryType, "ns/a.consul", "ns/b.consul")
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.rejections.WithLabelValues("ServiceEntry")) == 2 },
		"the rejections are not counted")
}

// TestResourceNamesAreRejected verifies that a request for single resources is rejected.
func TestResourceNamesAreRejected(t *testing.T) {
	s := serve(t, &fakeState{complete: true}, Options{})
	c := connect(t, s.Address(), nil)
	c.send(&discovery.DiscoveryRequest{TypeUrl: entryType, ResourceNames: []string{"ns/a.consul"}})
	eventually(t, func() bool { return status.Code(c.failed()) == codes.InvalidArgument }, "the request was not rejected")
}

// TestDrain verifies that a stopping output is not ready, and that the streams of its clients end without an error.
func TestDrain(t *testing.T) {
	s := serve(t, &fakeState{complete: true}, Options{})
	c := connect(t, s.Address(), nil, entryType)
	c.await(entryType)
	s.stop()
	if s.Ready() == nil {
		t.Error("the output is ready although it stops")
	}
	eventually(t, func() bool { return c.failed() != nil }, "the stream did not end")
	if failure := c.failed(); failure.Error() != "EOF" {
		t.Errorf("the stream ended with %v", failure)
	}
}

// TestDrainFinishes verifies that a client that is receiving a large response when the server stops receives all of it.
func TestDrainFinishes(t *testing.T) {
	state, names := &fakeState{complete: true}, 100
	for n := range names { // 20 MB, more than the buffers of a connection
		large := webEntry(fmt.Sprint("large-", n))
		large.Annotations = map[string]string{"text": strings.Repeat("x", 200_000)}
		state.set(fmt.Sprint("large-", n), large)
	}
	s := serve(t, state, Options{})
	stream := dial(t, s.Address(), nil)
	if err := stream.Send(&discovery.DiscoveryRequest{TypeUrl: entryType}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.pushes.WithLabelValues("ServiceEntry")) == 1 }, "no response was sent")
	go s.stop()
	eventually(t, func() bool { return errors.Is(s.Ready(), errDraining) }, "the output does not stop")
	response, err := stream.Recv()
	if err != nil || len(response.GetResources()) != names {
		t.Errorf("received %d resources and error %v", len(response.GetResources()), err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
}
