package e2e

import (
	"testing"

	"github.com/hashicorp/consul/api"
)

// TestEachChange verifies that every kind of change of one instance arrives in Envoy or in the labels of the object
// without another change, and costs one write. All ports differ, because callers do not know them.
func TestEachChange(t *testing.T) {
	w := sharedHarness(t)
	const service = "each-change"
	a := instance{service: service, id: "a", address: "10.1.0.1", port: 8081, meta: map[string]string{"version": "v1"}}
	b := instance{service: service, id: "b", address: "10.1.0.2", port: 8082, meta: map[string]string{"version": "v1"}}
	c := instance{service: service, id: "c", address: "10.1.0.3", port: 8083}
	w.register(t, a, b, c)
	w.awaitEndpoints(t, a.cluster(), "10.1.0.1:8081", "10.1.0.2:8082", "10.1.0.3:8083")
	w.awaitLabels(t, a, "version=v1", "app=each-change", "service.istio.io/canonical-revision=v1")

	for _, change := range []struct {
		name      string
		make      func(*instance)
		endpoints []string
		labels    []string
	}{
		{"address", func(i *instance) { i.address = "10.1.0.9" }, []string{"10.1.0.9:8081", "10.1.0.2:8082", "10.1.0.3:8083"}, nil},
		{"port", func(i *instance) { i.port = 8089 }, []string{"10.1.0.9:8089", "10.1.0.2:8082", "10.1.0.3:8083"}, nil},
		{"tag", func(i *instance) { i.tags = []string{"track=canary"} }, nil, []string{"track=canary", "version=v1"}},
		{"tag removed", func(i *instance) { i.tags = nil }, nil, []string{"-track", "version=v1"}},
		{"meta", func(i *instance) { i.meta = map[string]string{"version": "v2"} }, nil, []string{"version=v2"}},
		{"weight", func(i *instance) { i.weight = 7 }, []string{"10.1.0.9:8089 7", "10.1.0.2:8082", "10.1.0.3:8083"}, nil},
		{"warning", func(i *instance) { i.health = api.HealthWarning }, []string{"10.1.0.9:8089", "10.1.0.2:8082", "10.1.0.3:8083"}, nil},
		{"critical", func(i *instance) { i.health = api.HealthCritical }, []string{"10.1.0.2:8082", "10.1.0.3:8083"}, nil},
		{"passing", func(i *instance) { i.health = api.HealthPassing }, []string{"10.1.0.9:8089 7", "10.1.0.2:8082", "10.1.0.3:8083"}, nil},
	} {
		t.Run(change.name, func(t *testing.T) {
			before := w.settle(t)
			change.make(&a)
			w.register(t, a)
			if change.endpoints != nil {
				w.awaitEndpoints(t, a.cluster(), change.endpoints...)
			}
			if change.labels != nil {
				w.awaitLabels(t, a, change.labels...)
			}
			if writes := w.settle(t) - before; writes != 1 {
				t.Errorf("it cost %d writes", writes)
			}
		})
	}
	before := w.settle(t)
	w.register(t, a) // the same again
	if writes := w.settle(t) - before; writes != 0 {
		t.Errorf("no change cost %d writes", writes)
	}
}

// TestRename verifies that an instance moves when it is registered with the same ID under another service name. Consul
// does not wake the queries on the old service.
func TestRename(t *testing.T) {
	w := sharedHarness(t)
	old := instance{service: "rename-old", id: "rename", address: "10.2.0.1", port: 8080}
	stays := instance{service: "rename-old", id: "stays", address: "10.2.0.2", port: 8080}
	w.register(t, old, stays)
	w.awaitEndpoints(t, old.cluster(), "10.2.0.1:8080", "10.2.0.2:8080")
	renamed := old
	renamed.service = "rename-new"
	w.register(t, renamed)
	w.awaitEndpoints(t, renamed.cluster(), "10.2.0.1:8080")
	w.awaitEndpoints(t, old.cluster(), "10.2.0.2:8080")

	// When no instance is left under the old name, its endpoints are removed too.
	stays.service = "rename-new"
	w.register(t, stays)
	w.awaitEndpoints(t, renamed.cluster(), "10.2.0.1:8080", "10.2.0.2:8080")
	w.awaitEndpoints(t, old.cluster())
}

// TestOneIDOnTwoNodes verifies that two instances with the same ID on two nodes are two.
func TestOneIDOnTwoNodes(t *testing.T) {
	w := sharedHarness(t)
	first := instance{service: "two-nodes", id: "same", node: "vm-1", address: "10.3.0.1", port: 8080}
	second := instance{service: "two-nodes", id: "same", node: "vm-2", address: "10.3.0.2", port: 8080}
	w.register(t, first, second)
	w.awaitEndpoints(t, first.cluster(), "10.3.0.1:8080", "10.3.0.2:8080")
	w.deregister(t, first)
	w.awaitEndpoints(t, first.cluster(), "10.3.0.2:8080")
}
