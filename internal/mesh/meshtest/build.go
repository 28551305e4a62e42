package meshtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	datacenter = "dc1"
	// anyAddress is replaced by an address that is unique within the service.
	anyAddress = "any"
	// ownPort is replaced by the port of the instance.
	ownPort = -1
)

// of returns a case. Its options are the product's defaults with the given changes.
func of(name string, service catalog.Service, changes ...func(*mesh.Options)) Case {
	options := DefaultOptions()
	for _, change := range changes {
		change(&options)
	}
	return Case{Name: name, Service: service, Options: options}
}

func inline(o *mesh.Options)      { o.Form = mesh.InlineForm }
func passingOnly(o *mesh.Options) { o.PassingOnly = true }

func fallback(protocol mesh.Protocol) func(*mesh.Options) {
	return func(o *mesh.Options) { o.DefaultProtocol = protocol }
}

// hostTemplates adds templates. It panics on an invalid one.
func hostTemplates(texts ...string) func(*mesh.Options) {
	return func(o *mesh.Options) {
		for _, text := range texts {
			template, err := mesh.ParseHostTemplate(text)
			if err != nil {
				panic(err)
			}
			o.Hosts = append(o.Hosts, template)
		}
	}
}

// service returns a service with the instances sorted by ID.
func service(name string, instances ...catalog.Instance) catalog.Service {
	slices.SortFunc(instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
	for i := range instances {
		for c := range instances[i].Checks {
			if instances[i].Checks[c].Port == ownPort {
				instances[i].Checks[c].Port = instances[i].Port
			}
		}
		if instances[i].Address == anyAddress {
			instances[i].Address = fmt.Sprintf("10.0.0.%d", i+1)
		}
	}
	return catalog.Service{
		Key:        catalog.Key{Source: "consul", Name: name},
		Datacenter: datacenter,
		Instances:  instances,
	}
}

// change changes one property of an instance.
type change func(*catalog.Instance)

// instance returns the simplest instance with the given changes.
func instance(serviceID string, changes ...change) catalog.Instance {
	i := catalog.Instance{
		ID:      catalog.InstanceID{Datacenter: datacenter, Node: "node-1", ServiceID: serviceID},
		Address: anyAddress,
		Port:    8080,
		Weights: catalog.Weights{Passing: 1, Warning: 1},
		Health:  catalog.Passing,
	}
	all(changes...)(&i)
	return i
}

// all combines several changes.
func all(changes ...change) change {
	return func(i *catalog.Instance) {
		for _, change := range changes {
			change(i)
		}
	}
}

func node(name string) change { return func(i *catalog.Instance) { i.ID.Node = name } }

func address(text string) change { return func(i *catalog.Instance) { i.Address = text } }

func port(number int) change { return func(i *catalog.Instance) { i.Port = number } }

// namedPorts sets named ports; the default one is also the instance's own port.
func namedPorts(ports ...catalog.Port) change {
	return func(i *catalog.Instance) {
		i.Ports = ports
		for _, port := range ports {
			if port.Default {
				i.Port = port.Number
			}
		}
	}
}

func health(health catalog.Health) change { return func(i *catalog.Instance) { i.Health = health } }
func tags(tags ...string) change          { return func(i *catalog.Instance) { i.Tags = tags } }

// checks adds checks of the instance's own port; "https" is an HTTP check with TLS.
func checks(kinds ...string) change { return checksOfPort(ownPort, kinds...) }

// checksOfPort adds checks of a port.
func checksOfPort(port int, kinds ...string) change {
	return func(i *catalog.Instance) {
		for _, kind := range kinds {
			plain := strings.TrimSuffix(kind, "s")
			i.Checks = append(i.Checks, catalog.Check{Type: plain, Port: port, TLS: plain != kind})
		}
	}
}

func locality(where catalog.Locality) change { return func(i *catalog.Instance) { i.Locality = where } }

func weights(passing, warning int) change {
	return func(i *catalog.Instance) { i.Weights = catalog.Weights{Passing: passing, Warning: warning} }
}

// meta adds keys and values in turn to the instance's meta.
func meta(pairs ...string) change { return func(i *catalog.Instance) { i.Meta = with(i.Meta, pairs) } }

// nodeMeta adds keys and values in turn to the meta of the node.
func nodeMeta(pairs ...string) change {
	return func(i *catalog.Instance) { i.NodeMeta = with(i.NodeMeta, pairs) }
}

// with returns a copy of a map with more keys and values.
func with(m map[string]string, pairs []string) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = map[string]string{}
	}
	for pair := range slices.Chunk(pairs, 2) {
		m[pair[0]] = pair[1]
	}
	return m
}
