package xds

import (
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// objectsIn returns the objects of a service with one instance: a ServiceEntry in a namespace, with the endpoint inline or
// as a WorkloadEntry.
func objectsIn(namespace string, form mesh.Form) []mesh.Object {
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

// TestMigrationKeepsEndpoints verifies that a service always has endpoints on a client while it migrates between namespaces
// or forms of endpoints, whichever kind the client receives first, and that no old object is left.
func TestMigrationKeepsEndpoints(t *testing.T) {
	state := &fakeState{complete: true}
	state.set("a", objectsIn("one", mesh.WorkloadEntryForm)...)
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
		s.change("a", objectsIn(to.namespace, to.form)...)
		c.await(entryType, to.namespace+"/a.consul")
		if to.form == mesh.InlineForm {
			c.await(workloadType)
		} else {
			c.await(workloadType, to.namespace+"/a-1.consul")
		}
	}
	received, checked := map[string][]*discovery.DiscoveryResponse{}, 0
	for _, response := range c.received() {
		received[response.GetTypeUrl()] = append(received[response.GetTypeUrl()], response)
		entries, workloads := received[entryType], received[workloadType]
		if len(entries) == 0 || len(workloads) == 0 {
			continue
		}
		if checked++; endpointsOf(t, entries[len(entries)-1], workloads[len(workloads)-1]) == 0 {
			t.Errorf("the service has no endpoint after %d responses", checked)
		}
	}
}

// endpointsOf counts the endpoints of ServiceEntries as istiod does.
func endpointsOf(t *testing.T, entries, workloads *discovery.DiscoveryResponse) (count int) {
	t.Helper()
	in := map[string]int{}
	for _, wire := range workloads.GetResources() {
		namespace, _ := splitName(decodeWire(t, wire).GetMetadata().GetName())
		in[namespace]++
	}
	for _, wire := range entries.GetResources() {
		resource := decodeWire(t, wire)
		var entry networking.ServiceEntry
		if err := resource.GetBody().UnmarshalTo(&entry); err != nil {
			t.Fatal(err)
		}
		namespace, _ := splitName(resource.GetMetadata().GetName())
		if count += len(entry.GetEndpoints()); entry.GetWorkloadSelector() != nil {
			count += in[namespace]
		}
	}
	return count
}

// TestMigrationWaitsForClients verifies that a migration waits for every client, including a slow one, until
// migrationTimeout, and that other services do not wait.
func TestMigrationWaitsForClients(t *testing.T) {
	state := &fakeState{complete: true}
	state.set("a", objectsIn("one", mesh.WorkloadEntryForm)...)
	s := serve(t, state, Options{})
	c := connect(t, s.Address(), nil, entryType, workloadType)
	c.await(workloadType, "one/a-1.consul")
	slow := &client{t: t, stream: dial(t, s.Address(), nil), mute: true}
	slow.receive()
	slow.request(workloadType)
	slow.await(workloadType, "one/a-1.consul")

	start := time.Now()
	s.change("a", objectsIn("two", mesh.WorkloadEntryForm)...)
	c.await(workloadType, "one/a-1.consul", "two/a-1.consul")
	s.change("b", webEntry("b", "10.0.0.1"))
	c.await(entryType, "one/a.consul", "ns/b.consul") // another service does not wait
	slow.mu.Lock()
	slow.mute = false
	last := slow.responses[0]
	slow.mu.Unlock()
	slow.send(&discovery.DiscoveryRequest{TypeUrl: workloadType, ResponseNonce: last.GetNonce()})
	c.await(workloadType, "two/a-1.consul")
	c.await(entryType, "two/a.consul", "ns/b.consul")
	if took := time.Since(start); took > migrationTimeout {
		t.Errorf("the migration took %s", took)
	}
	m := migrations{nameOf("a"): {edition: 5, since: start}}
	for _, test := range []struct {
		acked   uint64
		after   time.Duration
		waiting bool
	}{{4, 0, true}, {5, 0, false}, {4, migrationTimeout, false}} {
		if got := m.waiting(nameOf("a"), test.acked, start.Add(test.after)); got != test.waiting {
			t.Errorf("acknowledged edition %d, after %s: waiting is %t", test.acked, test.after, got)
		}
	}
}
