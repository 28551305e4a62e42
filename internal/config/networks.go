package config

import (
	"fmt"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Network is a network of Istio's multi-network mesh.
type Network struct {
	Name   string   `json:"name" doc:"Name of the network, as in meshNetworks or in the label topology.istio.io/network of the gateway."`
	Ranges []string `json:"ranges" doc:"Ranges of IP addresses in the network, for example 10.1.0.0/16. The longest range that contains an address applies."`
}

// networks returns the networks of the endpoints.
func (c Config) networks() (mesh.Networks, error) {
	var networks mesh.Networks
	taken := map[string]string{}
	for i, network := range c.Mesh.Networks {
		at := fmt.Sprintf("mesh.networks[%d]", i)
		if err := checkNetwork(network.Name); err != nil {
			return networks, fmt.Errorf("%s.name: %w", at, err)
		}
		if len(network.Ranges) == 0 {
			return networks, fmt.Errorf("%s.ranges: empty, so the network has no instance; for all instances of a source, set sources[].network", at)
		}
		for j, text := range network.Ranges {
			prefix, err := parseCIDR(text)
			if err != nil {
				return networks, fmt.Errorf("%s.ranges[%d]: %w", at, j, err)
			}
			if other, ok := taken[prefix.String()]; ok && other != network.Name {
				return networks, fmt.Errorf("%s.ranges[%d]: %s is a range of network %q too; remove one of them", at, j, prefix, other)
			}
			taken[prefix.String()] = network.Name
			networks.Ranges = append(networks.Ranges, mesh.NetworkRange{Prefix: prefix, Network: network.Name})
		}
	}
	for i, source := range c.Sources {
		if source.Network == "" {
			continue
		}
		if err := checkNetwork(source.Network); err != nil {
			return networks, fmt.Errorf("sources[%d].network: %w", i, err)
		}
		if networks.Sources == nil {
			networks.Sources = map[string]string{}
		}
		networks.Sources[source.Name] = source.Network
	}
	return networks, nil
}

// checkNetwork returns an error if a name cannot be the name of a network: the gateway has it as a label.
func checkNetwork(name string) error {
	if name == "" {
		return fmt.Errorf("empty; write the name of the network, as in the label topology.istio.io/network of the gateway")
	}
	return mesh.CheckLabelValue(name)
}
