package config

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// ports returns the named ports in the form of the translation: the defaults that no entry replaces, then the entries.
func (m Mesh) ports() ([]mesh.NamedPort, error) {
	var ports []mesh.NamedPort
	if m.DefaultPorts {
		ports = slices.DeleteFunc(mesh.DefaultPorts(), func(port mesh.NamedPort) bool {
			return slices.ContainsFunc(m.Ports, func(own Port) bool { return own.Name == port.Name })
		})
	}
	for i, port := range m.Ports {
		protocol, err := mesh.ParseProtocol(cmp.Or(port.Protocol, m.DefaultProtocol))
		if err != nil {
			return nil, fmt.Errorf("mesh.ports[%d].protocol: %w", i, err)
		}
		ports = append(ports, mesh.NamedPort{Name: port.Name, Protocol: protocol, Number: uint32(port.Number)})
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
