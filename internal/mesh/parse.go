package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Parse returns the services that a service's objects were translated from; it is the inverse of Translate. The translation
// of the result has the same endpoints. There is one service for each source that reports instances. The result is empty if
// the objects have no endpoint or do not contain the service's name.
//
// Objects contain no unhealthy instances. Inline endpoints do not contain the ID of the instance, so these instances get
// IDs that no registry has, and must be matched by address. Inline endpoints of a merged service do not contain their
// source, so they are ignored. Tagged are the objects of the hosts of the service's tags; their endpoints have these tags.
func Parse(name Name, objects []Object, tagged ...Object) []catalog.Service {
	entry, spec := serviceEntryOf(objects)
	service := entry.Annotations[ServiceAnnotation]
	if spec == nil || service == "" {
		return nil
	}
	bySource := map[string][]catalog.Instance{}
	for i, endpoint := range spec.Endpoints {
		if entry.Annotations[DatacenterAnnotation] == "" {
			break
		}
		id := catalog.InstanceID{ServiceID: fmt.Sprintf("%06d", i)}
		bySource[name.Source] = append(bySource[name.Source], parseInstance(id, endpoint, spec))
	}
	for _, object := range objects {
		endpoint, ok := object.Spec.(*networking.WorkloadEntry)
		if !ok {
			continue
		}
		notes := object.Annotations
		id := catalog.InstanceID{
			Datacenter: notes[DatacenterAnnotation], Node: notes[NodeAnnotation],
			ServiceID: cmp.Or(notes[ServiceIDAnnotation], object.Name),
		}
		source := cmp.Or(notes[SourceAnnotation], name.Source)
		bySource[source] = append(bySource[source], parseInstance(id, endpoint, spec))
	}
	services := make([]catalog.Service, 0, len(bySource))
	for _, source := range slices.Sorted(maps.Keys(bySource)) {
		instances := bySource[source]
		restoreTags(instances, tagged)
		instances = append(instances, restorePorts(instances, tagged)...)
		slices.SortFunc(instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
		services = append(services, catalog.Service{
			Key:        catalog.Key{Source: source, Name: service},
			Datacenter: cmp.Or(entry.Annotations[DatacenterAnnotation], instances[0].ID.Datacenter),
			Instances:  instances,
			Generation: entry.Generation,
		})
	}
	return services
}

// RegisteredName returns the registered name of the service that the objects were translated from; empty if they do not
// contain it.
func RegisteredName(objects []Object) string {
	entry, _ := serviceEntryOf(objects)
	return entry.Annotations[ServiceAnnotation]
}

// serviceEntryOf returns the ServiceEntry among the objects of a service.
func serviceEntryOf(objects []Object) (Object, *networking.ServiceEntry) {
	for _, object := range objects {
		if spec, ok := object.Spec.(*networking.ServiceEntry); ok {
			return object, spec
		}
	}
	return Object{}, nil
}

// parseInstance returns an instance that translates to the endpoint. Labels become tags, which have no other effect, except
// for labels that come from meta with a meaning.
func parseInstance(id catalog.InstanceID, endpoint *networking.WorkloadEntry, entry *networking.ServiceEntry) catalog.Instance {
	region, zone, _ := strings.Cut(endpoint.Locality, "/")
	instance := catalog.Instance{
		ID: id, Address: endpoint.Address,
		Port:     int(endpoint.Ports[defaultPort]),
		Ports:    parsePorts(endpoint, entry),
		Locality: catalog.Locality{Region: region, Zone: zone},
		Weights:  catalog.Weights{Passing: int(endpoint.Weight), Warning: int(endpoint.Weight)},
		Health:   catalog.Passing,
		Meta:     map[string]string{},
		Protocol: string(protocolOf(entry)),
	}
	if entry.Location == networking.ServiceEntry_MESH_EXTERNAL {
		instance.NodeMeta = map[string]string{externalNodeMeta: "true"}
	}
	for _, key := range slices.Sorted(maps.Keys(endpoint.Labels)) {
		value := endpoint.Labels[key]
		switch {
		case ownLabel(key):
		case key == namespaceMeta, isUUID(value): // as a tag, it would be no label
			instance.Meta[key] = value
		default:
			instance.Tags = append(instance.Tags, key+"="+value)
		}
	}
	return instance
}

// parsePorts returns the named ports of an endpoint. The protocol of a port that callers do not have follows from its name
// or from the labels.
func parsePorts(endpoint *networking.WorkloadEntry, entry *networking.ServiceEntry) []catalog.Port {
	var ports []catalog.Port
	for _, name := range slices.Sorted(maps.Keys(endpoint.Ports)) {
		if CheckPortName(name) != nil {
			continue
		}
		port := catalog.Port{Name: name, Number: int(endpoint.Ports[name])}
		if at := slices.IndexFunc(entry.Ports, func(p *networking.ServicePort) bool { return p.Name == name }); at >= 0 {
			port.Protocol = entry.Ports[at].Protocol
		}
		ports = append(ports, port)
	}
	return ports
}

// protocolOf returns the protocol of the instances' own ports.
func protocolOf(entry *networking.ServiceEntry) Protocol {
	if len(entry.Ports) == 0 {
		return ""
	}
	for _, port := range entry.Ports {
		if port.Name == tlsPort { // the default port has the protocol of the callers, not of the instances
			return Protocol(port.Protocol)
		}
	}
	return Protocol(entry.Ports[0].Protocol)
}

// ownLabel reports whether Translate sets a label itself.
func ownLabel(key string) bool {
	return slices.Contains([]string{appLabel, canonicalNameLabel, canonicalRevisionLabel, SourceLabel, ServiceLabel}, key)
}
