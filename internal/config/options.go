package config

import (
	"cmp"
	"fmt"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// MeshOptions returns the options of the translation. The configuration must be valid.
func (c Config) MeshOptions() (mesh.Options, error) {
	protocol, err := mesh.ParseProtocol(c.Mesh.DefaultProtocol)
	if err != nil {
		return mesh.Options{}, fmt.Errorf("mesh.defaultProtocol: %w", err)
	}
	options := mesh.Options{
		ClusterDomain:    c.Mesh.ClusterDomain,
		Form:             cmp.Or(mesh.Form(c.Mesh.Endpoints), mesh.AutoForm),
		DefaultProtocol:  protocol,
		NoNativePort:     !c.Mesh.NativePort,
		PassingOnly:      c.Mesh.Health == passing,
		Labels:           mesh.Labels(c.Mesh.Labels),
		TagHosts:         c.Mesh.TagHosts,
		ExternalServices: c.Mesh.externalServices(),
		MaxInstances:     c.Mesh.MaxInstances,
		Placement:        c.placement(),
		Localities:       c.localities(),
	}
	if options.PodRanges, err = c.Mesh.podRanges(); err != nil {
		return mesh.Options{}, err
	}
	if options.Networks, err = c.networks(); err != nil {
		return mesh.Options{}, err
	}
	if options.Ports, err = c.Mesh.ports(); err != nil {
		return mesh.Options{}, err
	}
	if options.TLSOrigination, err = c.Mesh.originations(); err != nil {
		return mesh.Options{}, err
	}
	if options.Addresses, err = c.Mesh.Addresses.options(); err != nil {
		return mesh.Options{}, err
	}
	if registries := c.registries(); len(registries) > 1 {
		options.Registries = registries
	} else {
		options.Domain = registries[0].Domain
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

// localities returns the configured locations of the sources.
func (c Config) localities() map[string]catalog.Locality {
	var localities map[string]catalog.Locality
	for _, source := range c.Sources {
		if source.Region == "" && source.Zone == "" {
			continue
		}
		if localities == nil {
			localities = map[string]catalog.Locality{}
		}
		localities[source.Name] = catalog.Locality{Region: source.Region, Zone: source.Zone}
	}
	return localities
}

// registries returns the sources as registries of hosts. Merged sources are one registry, at the position of the first.
func (c Config) registries() []mesh.Registry {
	groups := c.Groups()
	var registries []mesh.Registry
	for _, source := range c.Sources {
		group, merged := groups[source.Name]
		if merged && group != source.Name {
			continue
		}
		registry := mesh.Registry{Source: source.Name, Domain: c.domainOf(source), Merged: merged}
		if !merged {
			registry.Datacenter = source.Datacenter
		}
		registries = append(registries, registry)
	}
	return registries
}

// Groups returns the name of the group of each merged source. The name is that of the first source with merge and the
// same domain; the services of the group have it as their source.
func (c Config) Groups() map[string]string {
	first, groups := map[string]string{}, map[string]string{}
	for _, source := range c.Sources {
		if !source.Merge {
			continue
		}
		domain := c.domainOf(source)
		if first[domain] == "" {
			first[domain] = source.Name
		}
		groups[source.Name] = first[domain]
	}
	return groups
}

func (c Config) domainOf(source Source) string { return cmp.Or(source.Domain, c.Mesh.Domain) }
