package xds

import (
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// placed is a service with one instance: an entry in a namespace, with its endpoint inline or as a WorkloadEntry.
func placed(namespace string, form mesh.Form) []mesh.Object {
	entry := webEntry("a", "10.0.0.1")
	entry.Namespace = namespace
	if form == mesh.InlineForm {
		return []mesh.Object{entry}
	}
	spec := entry.Spec.(*networking.ServiceEntry)
	spec.Endpoints, spec.WorkloadSelector = nil, &networking.WorkloadSelector{Labels: map[string]string{"app": "a"}}
	w := workload("a", "1", "10.0.0.1")
	w.Namespace = namespace
	return []mesh.Object{entry, w}
}

// TestMove holds that a service which moves, between namespaces or forms of its endpoints, has endpoints at a client all
// the while, whichever kind comes first to it; and that nothing of the old place is left.
func TestMove(t *testing.T) {
	state := &script{complete: true}
	state.set("a", placed("one", mesh.WorkloadEntryForm)...)
	s := serve(t, state, Options{})
	c := connect(t, s.Address(), nil, entryType, workloadType)
	c.await(entryType, "one/a.consul")
	c.await(workloadType, "one/a-1.consul")
	for _, to := range []struct {
		namespace string
		form      mesh.Form
	}{
		{"two", mesh.WorkloadEntryForm},
		{"two", mesh.InlineForm},
		{"one", mesh.InlineForm},
		{"one", mesh.WorkloadEntryForm},
		{"two", mesh.InlineForm},
		{"three", mesh.WorkloadEntryForm},
	} {
		s.change("a", placed(to.namespace, to.form)...)
		c.await(entryType, to.namespace+"/a.consul")
		if to.form == mesh.InlineForm {
			c.await(workloadType)
		} else {
			c.await(workloadType, to.namespace+"/a-1.consul")
		}
	}
	held, known := map[string][]*discovery.DiscoveryResponse{}, 0
	for _, answer := range c.received() {
		held[answer.GetTypeUrl()] = append(held[answer.GetTypeUrl()], answer)
		entries, workloads := held[entryType], held[workloadType]
		if len(entries) == 0 || len(workloads) == 0 {
			continue
		}
		if known++; endpointsOf(t, entries[len(entries)-1], workloads[len(workloads)-1]) == 0 {
			t.Errorf("after %d answers there is no endpoint", known)
		}
	}
}

// endpointsOf counts the endpoints that entries have, as istiod does.
func endpointsOf(t *testing.T, entries, workloads *discovery.DiscoveryResponse) (count int) {
	t.Helper()
	in := map[string]int{}
	for _, wire := range workloads.GetResources() {
		namespace, _ := parts(read(t, wire).GetMetadata().GetName())
		in[namespace]++
	}
	for _, wire := range entries.GetResources() {
		resource := read(t, wire)
		var entry networking.ServiceEntry
		if err := resource.GetBody().UnmarshalTo(&entry); err != nil {
			t.Fatal(err)
		}
		namespace, _ := parts(resource.GetMetadata().GetName())
		if count += len(entry.GetEndpoints()); entry.GetWorkloadSelector() != nil {
			count += in[namespace]
		}
	}
	return count
}

// TestMoveWaits holds that a move waits for every client, one that is slow too, but not for ever.
func TestMoveWaits(t *testing.T) {
	state := &script{complete: true}
	state.set("a", placed("one", mesh.WorkloadEntryForm)...)
	s := serve(t, state, Options{})
	c := connect(t, s.Address(), nil, entryType, workloadType)
	c.await(workloadType, "one/a-1.consul")
	slow := &client{t: t, stream: dial(t, s.Address(), nil), mute: true}
	slow.receive()
	slow.ask(workloadType)
	slow.await(workloadType, "one/a-1.consul")

	began := time.Now()
	s.change("a", placed("two", mesh.WorkloadEntryForm)...)
	c.await(workloadType, "one/a-1.consul", "two/a-1.consul")
	s.change("b", webEntry("b", "10.0.0.1"))
	c.await(entryType, "one/a.consul", "ns/b.consul") // nobody else waits
	slow.mu.Lock()
	slow.mute = false
	last := slow.answers[0]
	slow.mu.Unlock()
	slow.send(&discovery.DiscoveryRequest{TypeUrl: workloadType, ResponseNonce: last.GetNonce()})
	c.await(workloadType, "two/a-1.consul")
	c.await(entryType, "two/a.consul", "ns/b.consul")
	if took := time.Since(began); took > moveTime {
		t.Errorf("it took %s", took)
	}
	m := moves{named("a"): {edition: 5, since: began}}
	for _, test := range []struct {
		taken uint64
		after time.Duration
		waits bool
	}{{4, 0, true}, {5, 0, false}, {4, moveTime, false}} {
		if got := m.waits(named("a"), test.taken, began.Add(test.after)); got != test.waits {
			t.Errorf("after edition %d and %s: %t", test.taken, test.after, got)
		}
	}
}
