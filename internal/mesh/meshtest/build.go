package meshtest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	datacenter = "dc1"
	// anyAddress stands for an address that no other instance of the service has.
	anyAddress = "any"
)

// of makes a case; the options are the product's defaults unless changed.
func of(name string, service catalog.Service, changes ...func(*mesh.Options)) Case {
	options := mesh.Options{
		Domain:          "consul",
		ClusterDomain:   "cluster.local",
		Form:            mesh.WorkloadEntryForm,
		DefaultProtocol: mesh.HTTP,
		Ports:           mesh.DefaultPorts(),
		Placement:       mesh.Placement{Base: "consul-services"},
	}
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

// hostTemplates panics on a template that can't be parsed: it is a mistake in a case.
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

func service(name string, instances ...catalog.Instance) catalog.Service {
	slices.SortFunc(instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
	for i := range instances {
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

// change is one difference of an instance from the plainest one.
type change func(*catalog.Instance)

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

// namedPorts gives the instance these ports; the default is its own.
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
func checks(kinds ...string) change       { return func(i *catalog.Instance) { i.Checks = kinds } }

func locality(where catalog.Locality) change { return func(i *catalog.Instance) { i.Locality = where } }

func weights(passing, warning int) change {
	return func(i *catalog.Instance) { i.Weights = catalog.Weights{Passing: passing, Warning: warning} }
}

// meta adds to the instance's meta, nodeMeta to its node's: keys and values in turn.
func meta(pairs ...string) change { return func(i *catalog.Instance) { i.Meta = with(i.Meta, pairs) } }

func nodeMeta(pairs ...string) change {
	return func(i *catalog.Instance) { i.NodeMeta = with(i.NodeMeta, pairs) }
}

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
