package config

import (
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
		Domain:          c.Mesh.Domain,
		ClusterDomain:   c.Mesh.ClusterDomain,
		Form:            mesh.Form(c.Mesh.Endpoints),
		DefaultProtocol: protocol,
		PassingOnly:     c.Mesh.Health == passing,
		Placement:       c.placement(),
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
