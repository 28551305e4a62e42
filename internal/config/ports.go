package config

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func defaultPorts() []Port {
	var ports []Port
	for _, port := range mesh.DefaultPorts() {
		ports = append(ports, Port{Name: port.Name, Protocol: strings.ToLower(string(port.Protocol))})
	}
	return ports
}

// UnmarshalJSON ignores the default that has the same position in the list.
func (p *Port) UnmarshalJSON(data []byte) error {
	type bare Port
	var port bare
	if err := strict(data, &port); err != nil {
		return err
	}
	*p = Port(port)
	return nil
}

// ports returns the named ports in the form of the translation.
func (m Mesh) ports() ([]mesh.NamedPort, error) {
	ports := make([]mesh.NamedPort, len(m.Ports))
	for i, port := range m.Ports {
		protocol, err := mesh.ParseProtocol(cmp.Or(port.Protocol, m.DefaultProtocol))
		if err != nil {
			return nil, fmt.Errorf("mesh.ports[%d].protocol: %w", i, err)
		}
		ports[i] = mesh.NamedPort{Name: port.Name, Protocol: protocol, Number: uint32(port.Number)}
	}
	return ports, nil
}

// validatePorts verifies that names and numbers are valid and unique.
func (m Mesh) validatePorts(found *problems) {
	names, numbers := map[string]bool{}, map[int]bool{}
	for i, port := range m.Ports {
		at := fmt.Sprintf("mesh.ports[%d].", i)
		if err := mesh.CheckPortName(port.Name); err != nil {
			found.fail(at+"name", "%v", err)
		}
		if names[port.Name] {
			found.fail(at+"name", "%q is the name of another port", port.Name)
		}
		if port.Number != 0 && numbers[port.Number] {
			found.fail(at+"number", "%d is the number of another port", port.Number)
		}
		found.within(at+"number", port.Number, 0, 65535)
		if port.Protocol != "" {
			if _, err := mesh.ParseProtocol(port.Protocol); err != nil {
				found.fail(at+"protocol", "%v", err)
			}
		}
		names[port.Name], numbers[port.Number] = true, true
	}
}
