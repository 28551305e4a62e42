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

// Parse returns what a service's objects say of it, as the inverse of Translate: services whose translation has the
// same endpoints. There is one for each source that reports instances, and none where the objects have no endpoint, or
// don't say of which service they are.
//
// Objects say nothing of unhealthy instances, and inline endpoints not which instance they are: these have an identity
// that no registry gives, and are to be recognised by their address. Which source an inline endpoint of a merged
// service is of isn't said at all, so these are not recalled.
func Parse(name Name, objects []Object) []catalog.Service {
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
		slices.SortFunc(instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
		services = append(services, catalog.Service{
			Key:        catalog.Key{Source: source, Name: service},
			Datacenter: cmp.Or(entry.Annotations[DatacenterAnnotation], instances[0].ID.Datacenter),
			Instances:  instances,
		})
	}
	return services
}

func serviceEntryOf(objects []Object) (Object, *networking.ServiceEntry) {
	for _, object := range objects {
		if spec, ok := object.Spec.(*networking.ServiceEntry); ok {
			return object, spec
		}
	}
	return Object{}, nil
}

// parseInstance returns an instance that becomes such an endpoint. Its labels are tags, which mean nothing else, but
// for those that were meta with a meaning.
func parseInstance(id catalog.InstanceID, endpoint *networking.WorkloadEntry, entry *networking.ServiceEntry) catalog.Instance {
	region, zone, _ := strings.Cut(endpoint.Locality, "/")
	instance := catalog.Instance{
		ID: id, Address: endpoint.Address,
		Port:     int(endpoint.Ports[defaultPort]),
		Ports:    parsePorts(endpoint),
		Locality: catalog.Locality{Region: region, Zone: zone},
		Weights:  catalog.Weights{Passing: int(endpoint.Weight), Warning: int(endpoint.Weight)},
		Health:   catalog.Passing,
		Meta:     map[string]string{},
	}
	protocol := protocolOf(entry)
	for _, key := range slices.Sorted(maps.Keys(endpoint.Labels)) {
		value := endpoint.Labels[key]
		said, err := ParseProtocol(value)
		switch {
		case ownLabel(key):
		case key == namespaceMeta, key == protocolMeta && err == nil && said == protocol:
			instance.Meta[key] = value
		default:
			instance.Tags = append(instance.Tags, key+"="+value)
		}
	}
	for _, hint := range byCheck {
		if hint.protocol == protocol {
			instance.Checks = []string{hint.check}
		}
	}
	if len(instance.Checks) == 0 && protocol != "" {
		instance.Ports = append(instance.Ports, catalog.Port{Name: strings.ToLower(string(protocol)), Number: instance.Port, Default: true})
	}
	return instance
}

// parsePorts returns the named ports of an endpoint. What they speak is said by their names, or by the labels.
func parsePorts(endpoint *networking.WorkloadEntry) []catalog.Port {
	var ports []catalog.Port
	for _, name := range slices.Sorted(maps.Keys(endpoint.Ports)) {
		if CheckPortName(name) == nil {
			ports = append(ports, catalog.Port{Name: name, Number: int(endpoint.Ports[name])})
		}
	}
	return ports
}

func protocolOf(entry *networking.ServiceEntry) Protocol {
	if len(entry.Ports) == 0 {
		return ""
	}
	for _, port := range entry.Ports {
		if port.Name == tlsPort { // the default port is what callers speak, not the instances
			return Protocol(port.Protocol)
		}
	}
	return Protocol(entry.Ports[0].Protocol)
}

// ownLabel tells whether a translation sets a label itself.
func ownLabel(key string) bool {
	return slices.Contains([]string{appLabel, canonicalNameLabel, canonicalRevisionLabel, SourceLabel, ServiceLabel}, key)
}
