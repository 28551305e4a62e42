package mesh_test

import (
	"fmt"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// web is a service with one instance.
func web() catalog.Service {
	return catalog.Service{
		Key:        catalog.Key{Source: "consul", Name: "web"},
		Datacenter: "dc1",
		Instances: []catalog.Instance{{
			ID:      catalog.InstanceID{Datacenter: "dc1", Node: "node-1", ServiceID: "web-1"},
			Address: "10.0.0.1",
			Port:    8080,
			Tags:    []string{"version=v1"},
			Weights: catalog.Weights{Passing: 1, Warning: 1},
			Health:  catalog.Passing,
			Checks:  []catalog.Check{{Type: "http", Port: 8080}},
		}},
	}
}

// A service becomes a ServiceEntry and one WorkloadEntry for each instance.
func ExampleTranslate() {
	options := mesh.Options{
		Domain:          "consul",
		Form:            mesh.WorkloadEntryForm,
		DefaultProtocol: mesh.HTTP,
		Placement:       mesh.Placement{Base: "consul-services"},
	}
	resources, findings := mesh.Translate(web(), mesh.Name{Source: "consul", Label: "web"}, options)
	for _, object := range resources.Objects {
		fmt.Println(object.Kind, object.Namespace, object.Name)
		switch spec := object.Spec.(type) {
		case *networking.ServiceEntry:
			fmt.Println("  hosts", spec.Hosts)
			for _, port := range spec.Ports {
				fmt.Println("  port", port.Name, port.Number, port.Protocol)
			}
		case *networking.WorkloadEntry:
			fmt.Println("  address", spec.Address, spec.Ports["default"])
			fmt.Println("  version", spec.Labels["version"])
		}
	}
	fmt.Println(len(findings), "findings")
	// Output:
	// ServiceEntry consul-services web.consul
	//   hosts [web.service.consul]
	//   port default 80 HTTP
	//   port native 8080 HTTP
	// WorkloadEntry consul-services web-0d96a539ce7a.consul
	//   address 10.0.0.1 8080
	//   version v1
	// 0 findings
}

// Names gives each service a unique DNS label.
func ExampleNames() {
	var names mesh.Names
	for _, name := range []string{"web", "Order_Service"} {
		key := catalog.Key{Source: "consul", Name: name}
		names.Add(key)
		fmt.Println(names.Of(key))
	}
	// Output:
	// web.consul
	// order-service.consul
}
