package e2e

import (
	"cmp"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// instance is a registration in Consul's catalog, as an agent on another node would make it.
type instance struct {
	service, id, node, address string
	port                       int
	// ports replace port.
	ports  api.ServicePorts
	tags   []string
	meta   map[string]string
	tagged map[string]api.ServiceAddress
	weight int
	// health is the status of its only check, an HTTP check. The default is "passing".
	health string
}

// register adds instances to the catalog, or replaces those with the same node and ID.
func (w *harness) register(t testing.TB, instances ...instance) {
	t.Helper()
	client := w.consul.Client()
	for _, i := range instances {
		if _, err := client.Catalog().Register(i.registration(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// deregister removes instances from the catalog.
func (w *harness) deregister(t testing.TB, instances ...instance) {
	t.Helper()
	client := w.consul.Client()
	for _, i := range instances {
		if _, err := client.Catalog().Deregister(&api.CatalogDeregistration{Node: i.onNode(), ServiceID: i.id}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func (i instance) onNode() string { return cmp.Or(i.node, "vm-1") }

func (i instance) registration() *api.CatalogRegistration {
	weight := cmp.Or(i.weight, 1)
	return &api.CatalogRegistration{
		Node: i.onNode(), Address: "10.0.0.1", SkipNodeUpdate: false,
		Service: &api.AgentService{
			ID: i.id, Service: i.service, Address: i.address, Port: i.port, Ports: i.ports, Tags: i.tags, Meta: i.meta, TaggedAddresses: i.tagged,
			Weights: api.AgentWeights{Passing: weight, Warning: 1},
		},
		Checks: api.HealthChecks{{
			Node: i.onNode(), CheckID: "service:" + i.id, Name: "health", ServiceID: i.id, Type: "http",
			Status: cmp.Or(i.health, api.HealthPassing),
		}},
	}
}

// entryName returns the name of the service's ServiceEntry. The service's name must be a DNS label.
func (i instance) entryName() string { return i.meshName().ServiceEntry() }

// workloadName returns the name of the instance's WorkloadEntry.
func (i instance) workloadName() string {
	return i.meshName().WorkloadEntry(catalog.InstanceID{
		Datacenter: "dc1", Partition: "", Namespace: "", Node: i.onNode(), ServiceID: i.id,
	})
}

func (i instance) meshName() mesh.Name { return mesh.Name{Source: "consul", Label: i.service} }

func (i instance) host() string { return i.service + ".service.consul" }

// cluster returns the name of Envoy's cluster for port 80 of the service.
func (i instance) cluster() string { return "outbound|80||" + i.host() }
