package config

import (
	"cmp"
	"fmt"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// MeshOptions returns the rules of the translation. The configuration must be valid.
func (c Config) MeshOptions() (mesh.Options, error) {
	protocol, err := mesh.ParseProtocol(c.Mesh.DefaultProtocol)
	if err != nil {
		return mesh.Options{}, fmt.Errorf("mesh.defaultProtocol: %w", err)
	}
	options := mesh.Options{
		ClusterDomain:   c.Mesh.ClusterDomain,
		Form:            mesh.Form(c.Mesh.Endpoints),
		DefaultProtocol: protocol,
		PassingOnly:     c.Mesh.Health == passing,
		Placement:       mesh.Placement{Base: c.Kubernetes.Namespace, Shards: c.Kubernetes.Shards},
	}
	if len(c.Sources) > 1 {
		for _, source := range c.Sources {
			options.Registries = append(options.Registries, mesh.Registry{
				Source: source.Name, Domain: cmp.Or(source.Domain, c.Mesh.Domain),
			})
		}
	} else {
		options.Domain = cmp.Or(c.Sources[0].Domain, c.Mesh.Domain)
	}
	for _, text := range c.Mesh.Hosts {
		host, err := mesh.ParseHostTemplate(text)
		if err != nil {
			return mesh.Options{}, fmt.Errorf("mesh.hosts: %w", err)
		}
		options.Hosts = append(options.Hosts, host)
	}
	return options, nil
}
