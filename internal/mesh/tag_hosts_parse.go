package mesh

import (
	"iter"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// tagEndpoint identifies an endpoint in the objects of a service.
type tagEndpoint struct {
	address string
	port    int
}

func tagEndpointOf(e *networking.WorkloadEntry) tagEndpoint {
	return tagEndpoint{e.GetAddress(), int(e.GetPorts()[defaultPort])}
}

// taggedEntry is the ServiceEntry of a tag.
type taggedEntry struct {
	tag   string
	entry *networking.ServiceEntry
}

// taggedEntries returns the ServiceEntries of tags among objects.
func taggedEntries(objects []Object) iter.Seq[taggedEntry] {
	return func(yield func(taggedEntry) bool) {
		for _, object := range objects {
			entry, ok := object.Spec.(*networking.ServiceEntry)
			name, _ := ParseObjectName(ServiceEntryKind, object.Name)
			if ok && name.Tag != "" && !yield(taggedEntry{name.Tag, entry}) {
				return
			}
		}
	}
}

// restoreTags gives the instances the tags with hosts of which they are endpoints. Without the tags, a restored instance
// would lose its place in these hosts.
func restoreTags(instances []catalog.Instance, tagged []Object) {
	tags := map[tagEndpoint][]string{}
	for host := range taggedEntries(tagged) {
		for _, e := range host.entry.Endpoints {
			tags[tagEndpointOf(e)] = append(tags[tagEndpointOf(e)], host.tag)
		}
	}
	for i := range instances {
		for _, tag := range tags[tagEndpoint{instances[i].Address, instances[i].Port}] {
			instances[i].Tags = withBareTag(instances[i].Tags, tag)
		}
	}
}

// withBareTag returns tags with a tag as it was registered. The label of the tag, tag.NAME, shows the case of the letters.
func withBareTag(tags []string, tag string) []string {
	for i, labeled := range tags {
		key, value, _ := strings.Cut(labeled, "=")
		name, isTag := strings.CutPrefix(key, bareTagPrefix)
		if isTag && value == "true" && strings.ToLower(name) == tag {
			tags = slices.Clone(tags)
			tags[i] = name
			return tags
		}
	}
	return append(slices.Clip(tags), tag)
}

// restorePorts returns the registrations of additional ports that are endpoints of the hosts of their tags. Their IDs are
// derived from the instances at the same address, because the objects do not contain them.
func restorePorts(instances []catalog.Instance, tagged []Object) (ports []catalog.Instance) {
	ofPort := map[tagEndpoint]catalog.Instance{}
	own, restored := map[tagEndpoint]bool{}, map[tagEndpoint]int{}
	for _, i := range instances {
		own[tagEndpoint{i.Address, i.Port}] = true
		for _, port := range i.Ports {
			ofPort[tagEndpoint{i.Address, port.Number}] = i
		}
	}
	for host := range taggedEntries(tagged) {
		for _, e := range host.entry.Endpoints {
			at := tagEndpointOf(e)
			main, known := ofPort[at]
			if !known || own[at] {
				continue
			}
			if index, again := restored[at]; again {
				ports[index].Tags = withBareTag(ports[index].Tags, host.tag)
				continue
			}
			id := main.ID
			id.ServiceID += "/" + host.tag
			port := parseInstance(id, e, host.entry)
			port.Source, port.AdditionalPort = main.Source, true
			port.Tags = withBareTag(port.Tags, host.tag)
			restored[at] = len(ports)
			ports = append(ports, port)
		}
	}
	return ports
}
