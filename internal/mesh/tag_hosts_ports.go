package mesh

import (
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// portTags returns the tags that only additional ports of the service have, with their registrations. In Consul's DNS, such a
// tag selects a port: rpc.nomad.service.consul.
func (t tagHosts) portTags() map[string][]catalog.Instance {
	group := catalog.Group(t.service.Instances)
	if len(group.Additional) == 0 {
		return nil
	}
	ofEndpoints := map[string]bool{}
	for _, tags := range t.matching {
		for _, tag := range tags {
			ofEndpoints[tag] = true
		}
	}
	tagged := map[string][]catalog.Instance{}
	for i, instance := range t.service.Instances {
		_, additional := group.Additional[i]
		_, unassigned := group.Unassigned[i]
		if !additional && !unassigned {
			continue
		}
		for _, tag := range t.matchingTags(instance) {
			if !ofEndpoints[tag] {
				tagged[tag] = append(tagged[tag], instance)
			}
		}
	}
	return tagged
}

// ofPort returns the objects for the hosts of a tag that selects a port. The registrations of the port are translated like a
// service of their own: port 80 leads to them.
func (t tagHosts) ofPort(tag string, hosts []string, registrations []catalog.Instance) ([]Object, bool) {
	service, options := t.service, t.options
	service.Instances, service.FormerTags = registrations, nil
	options.TagHosts, options.ExternalServices, options.Form = nil, nil, InlineForm
	var quiet report // the service itself has reported its registrations
	resources := translate(service, t.name, options, &quiet)
	_, spec := serviceEntryOf(resources.Objects)
	if spec == nil {
		return nil, false
	}
	spec.Hosts, spec.Location, spec.ExportTo = hosts, t.entry.Location, slices.Clone(t.entry.ExportTo)
	shared := !slices.ContainsFunc(spec.Ports, func(p *networking.ServicePort) bool { return !Protocol(p.Protocol).sharesHosts() })
	if !shared {
		spec.Hosts = hosts[:1]
	}
	name := t.name.OfTag(tag)
	objects := []Object{serviceEntryObject(t.service, name, t.namespace, spec)}
	endpoints := usableEndpoints(service, options, &quiet)
	if origination := options.origination(service, serviceProtocol(endpoints, &quiet)); origination != nil {
		objects = append(objects, origination.destinationRules(name, t.namespace, spec)...)
	}
	return objects, true
}
