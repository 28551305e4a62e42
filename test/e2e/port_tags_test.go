package e2e

import (
	"fmt"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestPortsOfOneAddress verifies in Envoy that registrations of one address under one name are ports of one endpoint, told
// apart by their tags: no port for callers leads to another kind of port, also while an endpoint lacks a registration.
func TestPortsOfOneAddress(t *testing.T) {
	w := sharedHarness(t)
	const service = "nomad-like"
	at := func(n, port int, tag, health string) instance {
		return instance{
			service: service, id: fmt.Sprintf("%s-%d-%d", service, n, port), address: fmt.Sprint("10.23.0.", n), port: port,
			tags: []string{"eu", tag}, health: health,
		}
	}
	for n := 1; n <= 3; n++ {
		w.register(t, at(n, 4646, "http", ""), at(n, 4647, "rpc", ""), at(n, 4648, "serf", ""))
	}
	host := at(1, 4646, "", "").host()
	await := func(callers, port int, addresses ...int) {
		t.Helper()
		var want []string
		for _, n := range addresses {
			want = append(want, fmt.Sprintf("10.23.0.%d:%d", n, port))
		}
		w.awaitEndpoints(t, fmt.Sprintf("outbound|%d||%s", callers, host), want...)
	}
	all := func(addresses ...int) {
		t.Helper()
		await(80, 4646, addresses...)
		await(4646, 4646, addresses...)
		await(4647, 4647, addresses...)
		await(4648, 4648, addresses...)
	}
	all(1, 2, 3)

	// The check of an additional port has no effect; the check of the main port decides.
	w.register(t, at(1, 4648, "serf", api.HealthCritical), at(2, 4646, "http", api.HealthCritical))
	all(1, 3)
	w.register(t, at(1, 4648, "serf", ""), at(2, 4646, "http", ""))
	all(1, 2, 3)

	// An endpoint without its main port is not called.
	w.deregister(t, at(3, 4646, "", ""))
	all(1, 2)
	w.register(t, at(3, 4646, "http", ""))
	all(1, 2, 3)

	// A port that an endpoint lacks does not exist.
	w.deregister(t, at(3, 4648, "", ""))
	await(4648, 0)
	await(80, 4646, 1, 2, 3)
	await(4647, 4647, 1, 2, 3)

	// The same value for all ports makes them instances.
	meta := map[string]string{catalog.PortKey: "any"}
	for _, port := range []int{8081, 8082} {
		w.register(t, instance{service: "alike", id: fmt.Sprint("alike-", port), address: "10.23.1.1", port: port, tags: []string{fmt.Sprint("kind-", port, "-x")}, meta: meta})
	}
	w.awaitEndpoints(t, "outbound|80||alike.service.consul", "10.23.1.1:8081", "10.23.1.1:8082")
}

// TestPortsOfTaggedAddresses verifies in Envoy that tagged addresses with URLs, as go-kratos registers them, are ports.
func TestPortsOfTaggedAddresses(t *testing.T) {
	w := sharedHarness(t)
	kratos := instance{
		service: "kratos-ports", id: "kratos-ports", address: "10.24.0.1", port: 9000,
		tagged: map[string]api.ServiceAddress{
			"grpc": {Address: "grpc://10.24.0.1:9000?isSecure=false", Port: 9000},
			"http": {Address: "http://10.24.0.1:8000?isSecure=false", Port: 8000},
			"away": {Address: "http://10.24.0.2:8001", Port: 8001},
		},
	}
	w.register(t, kratos)
	for callers, port := range map[int]int{80: 9000, 9000: 9000, 8000: 8000} {
		w.awaitEndpoints(t, fmt.Sprintf("outbound|%d||%s", callers, kratos.host()), fmt.Sprint("10.24.0.1:", port))
	}
	w.awaitEndpoints(t, "outbound|8001||"+kratos.host())
}
