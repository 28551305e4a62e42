package e2e

import (
	"fmt"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestRollingChangeOfThePort verifies that callers reach all instances of a service by the old and by the new port
// while the instances change their port one by one. Istiod sends more than endpoints exactly twice: when the new port
// appears and when the old one disappears. Both hold for each form of the endpoints. Each form has servers of its own,
// because the objects of other tests are removed later and cause pushes too.
func TestRollingChangeOfThePort(t *testing.T) {
	for _, form := range []string{"workloadEntry", "inline"} {
		t.Run(form, func(t *testing.T) { testRollingChange(t, form) })
	}
}

func testRollingChange(t *testing.T, form string) {
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := newHarness(t)
	if err := w.startMesh(t.Context(), "mesh: {endpoints: "+form+", addresses: {allow: [127.0.0.0/8]}}\n"); err != nil {
		t.Fatal(err)
	}
	const service, size, oldPort, newPort = "rolling-port", 6, 8081, 8082
	var instances []instance
	for n := range size {
		instances = append(instances, instance{service: service, id: fmt.Sprint("rolling-port-", n), address: fmt.Sprint("10.20.0.", n+1), port: oldPort})
	}
	endpoints := func() (all []string) {
		for _, i := range instances {
			all = append(all, fmt.Sprintf("%s:%d", i.address, i.port))
		}
		return all
	}
	cluster := func(port int) string { return fmt.Sprintf("outbound|%d||%s", port, instances[0].host()) }
	w.register(t, instances...)
	w.awaitEndpoints(t, cluster(oldPort), endpoints()...)
	before := w.settledPushes(t, "type", "cds")
	for n := range instances {
		instances[n].port = newPort
		w.register(t, instances[n])
		w.awaitEndpoints(t, cluster(80), endpoints()...)
		w.awaitEndpoints(t, cluster(newPort), endpoints()...)
		if n < size-1 {
			w.awaitEndpoints(t, cluster(oldPort), endpoints()...)
		}
	}
	w.awaitEndpoints(t, cluster(oldPort)) // it is gone
	if pushes := w.settledPushes(t, "type", "cds") - before; pushes != 2 {
		t.Errorf("istiod sent clusters %v times", pushes)
	}
}

// TestSeveralPorts verifies that callers reach each port of an instance, declared by Consul's own Ports or by meta and
// tags, by its number or by the number in the configuration.
func TestSeveralPorts(t *testing.T) {
	w := sharedHarness(t)
	t.Run("meta and tags", w.testPortsOfMeta)
	t.Run("Ports", w.testPortsOfConsul)
}

func (w *harness) testPortsOfMeta(t *testing.T) {
	spring := instance{service: "spring-ports", id: "spring-ports", address: "10.21.0.2", port: 8080, meta: map[string]string{"gRPC_port": "9090"}, tags: []string{"management.port=9001"}}
	w.register(t, spring)
	for cluster, endpoint := range map[string]string{
		"outbound|80||" + spring.host():   "10.21.0.2:8080",
		"outbound|9090||" + spring.host(): "10.21.0.2:9090",
		"outbound|9001||" + spring.host(): "10.21.0.2:9001",
	} {
		w.awaitEndpoints(t, cluster, endpoint)
	}
}

func (w *harness) testPortsOfConsul(t *testing.T) {
	testbed.RequireConsul(t, testbed.ConsulPorts, "named ports")
	own := instance{service: "several-ports", id: "several-ports", address: "10.21.0.1", ports: api.ServicePorts{
		{Name: "http", Port: 8080, Default: true}, {Name: "grpc", Port: 9090},
	}}
	w.register(t, own)
	for cluster, endpoint := range map[string]string{
		"outbound|80||" + own.host():   "10.21.0.1:8080",
		"outbound|8080||" + own.host(): "10.21.0.1:8080",
		"outbound|9090||" + own.host(): "10.21.0.1:9090",
	} {
		w.awaitEndpoints(t, cluster, endpoint)
	}
	own.ports[1].Port = 9091
	w.register(t, own)
	w.awaitEndpoints(t, "outbound|9091||"+own.host(), "10.21.0.1:9091")
}
