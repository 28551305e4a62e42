package meshtest

import "github.com/isthmus-mesh/isthmus/internal/mesh"

// DefaultOptions returns the product's default options of the translation.
func DefaultOptions() mesh.Options {
	return mesh.Options{
		Domain:          "consul",
		ClusterDomain:   "cluster.local",
		Form:            mesh.WorkloadEntryForm,
		DefaultProtocol: mesh.HTTP,
		Ports:           mesh.DefaultPorts(),
		Placement:       mesh.Placement{Base: "consul-services"},
	}
}
