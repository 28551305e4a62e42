package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/engine"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/xds"
)

// TestXDSBenchServer is the server process of TestXDSBench: the product without Consul.
func TestXDSBenchServer(t *testing.T) {
	var made madeUp
	var form string
	if _, err := fmt.Sscanf(os.Getenv("XDS_BENCH_SERVE"), "%d %d %s", &made.services, &made.instances, &form); err != nil {
		t.Skip("it is a part of TestXDSBench")
	}
	registry, log := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	output, err := xds.New(xds.Options{Address: "127.0.0.1:0", Log: log, Metrics: xds.NewMetrics(registry)})
	if err != nil {
		t.Fatal(err)
	}
	options := mesh.Options{
		Domain: "consul", ClusterDomain: "cluster.local", Form: mesh.Form(form), DefaultProtocol: mesh.HTTP,
		Placement: mesh.Placement{Base: namespace},
	}
	if options.Form == mesh.WorkloadEntryForm {
		options.Placement.Shards = 500 // the default of the product for this output
	}
	made.bytes = func(kind string) (bytes float64) {
		families, err := registry.Gather()
		if err != nil {
			t.Error(err)
		}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				if family.GetName() == "isthmus_xds_resources_bytes" && m.GetLabel()[0].GetValue() == kind {
					bytes = m.GetGauge().GetValue()
				}
			}
		}
		return bytes
	}
	addresses, err := config.Default().AddressOptions()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(output.Address())
	b := engine.New(engine.Options{
		Rules: engine.Rules{Mesh: options, Guard: config.Default().Guard.Options()}, Addresses: addresses, Log: log, Metrics: engine.NewMetrics(prometheus.NewRegistry()),
	}, []contract.Source{&made}, []contract.Output{output})
	if err := b.Run(t.Context()); err != nil {
		t.Error(err)
	}
}

// madeUp is a registry with a generated catalog. Standard input controls it.
type madeUp struct {
	services, instances int
	// bytes is the size of the responses of one push of a kind.
	bytes func(kind string) float64
}

// Name implements contract.Source.
func (m *madeUp) Name() string { return "consul" }

func benchService(n int) string { return fmt.Sprint("s-", n) }

func (m *madeUp) service(n int, first string) catalog.Service {
	service := catalog.Service{Key: catalog.Key{Source: "consul", Name: benchService(n)}, Datacenter: "dc1"}
	for k := range m.instances {
		address := fmt.Sprintf("10.%d.%d.%d", k, n/250, n%250)
		if k == 0 && first != "" {
			address = first
		}
		service.Instances = append(service.Instances, catalog.Instance{
			ID:      catalog.InstanceID{Datacenter: "dc1", Node: fmt.Sprint("node-", k), ServiceID: fmt.Sprint(benchService(n), "-", k)},
			Address: address, Port: 8080, Meta: map[string]string{"version": fmt.Sprint("v", 1+k%2)},
			Weights: catalog.Weights{Passing: 1, Warning: 1}, Health: catalog.Passing, Checks: []catalog.Check{{Type: "http"}},
		})
	}
	return service
}

// Run implements contract.Source.
func (m *madeUp) Run(_ context.Context, sink catalog.Sink) error {
	for n := range m.services {
		sink.Update(m.service(n, ""), time.Now())
	}
	sink.Synced(m.Name(), true)
	for {
		var n int
		var text string
		if _, err := fmt.Scanln(&n, &text); err != nil {
			return err
		}
		if n < 0 {
			fmt.Println(m.bytes(text))
			continue
		}
		sink.Update(m.service(n, text), time.Now())
	}
}

// edsClient is a client of istiod that subscribes to the endpoints of one cluster.
type edsClient struct {
	cluster string
	stream  discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient
}

func newEDSClient(t *testing.T, address, cluster string) *edsClient {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	c := &edsClient{cluster: cluster}
	if c.stream, err = discovery.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.ask(t, nil)
	return c
}

// ask requests the endpoints, or acknowledges a response.
func (c *edsClient) ask(t *testing.T, answer *discovery.DiscoveryResponse) {
	t.Helper()
	err := c.stream.Send(&discovery.DiscoveryRequest{
		Node:    &core.Node{Id: "sidecar~127.0.0.1~bench.default~default.svc.cluster.local"},
		TypeUrl: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", ResourceNames: []string{c.cluster},
		VersionInfo: answer.GetVersionInfo(), ResponseNonce: answer.GetNonce(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// until returns the time from now until the endpoints have an address.
func (c *edsClient) until(t *testing.T, address string) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		answer, err := c.stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		c.ask(t, answer)
		for _, wire := range answer.GetResources() {
			var assignment endpoint.ClusterLoadAssignment
			if err := wire.UnmarshalTo(&assignment); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(addresses(&assignment), address) {
				return time.Since(began)
			}
		}
	}
}

func addresses(assignment *endpoint.ClusterLoadAssignment) []string {
	var all []string
	for _, locality := range assignment.GetEndpoints() {
		for _, e := range locality.GetLbEndpoints() {
			all = append(all, e.GetEndpoint().GetAddress().GetSocketAddress().GetAddress())
		}
	}
	return all
}
