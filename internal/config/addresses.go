package config

import (
	"fmt"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// options returns the address rules in the form of the translation.
func (a Addresses) options() (mesh.Addresses, error) {
	var options mesh.Addresses
	for _, list := range []struct {
		name  string
		texts []string
		to    *[]mesh.AddressRange
	}{{"allow", a.Allow, &options.Allow}, {"deny", a.Deny, &options.Deny}} {
		for i, text := range list.texts {
			r, err := mesh.ParseAddressRange(text)
			if err != nil {
				return mesh.Addresses{}, fmt.Errorf("mesh.addresses.%s[%d]: %w", list.name, i, err)
			}
			*list.to = append(*list.to, r)
		}
	}
	return options, nil
}

// sameHosts returns an earlier source with the same hosts: it has the same datacenter and domain, and isn't merged with
// this one.
func (c Config) sameHosts(at int) (name string, found bool) {
	source := c.Sources[at]
	for _, earlier := range c.Sources[:at] {
		if source.Datacenter != "" && source.Datacenter == earlier.Datacenter && c.domainOf(source) == c.domainOf(earlier) &&
			!(source.Merge && earlier.Merge) {
			return earlier.Name, true
		}
	}
	return "", false
}
