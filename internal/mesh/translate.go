// Package mesh translates services of the catalog into Istio configuration: one ServiceEntry for each service, and its
// instances as WorkloadEntries or as inline endpoints.
//
// All functions are pure: they use no clock, no network and no map order. Equal services give equal resources, on each
// replica and after each restart. All resources pass Istio's own validation. Input that cannot be expressed is skipped and
// returned as a Finding.
//
// Translate works in these steps:
//
//	left_out.go       the instances of kinds that the source leaves out
//	endpoints.go      instances with a usable address and port, with their health, weight and ports
//	protocol.go       the protocol that all endpoints have in common
//	hosts.go          the hosts of the service, by precedence of the configuration
//	ports.go          the ports for callers
//	labels.go         the labels of the endpoints
//	tls.go            DestinationRules where Envoy originates TLS
//	tag_hosts.go      hosts of tags
//	placement.go      the namespace and exportTo
//
// Parse is the inverse: it restores services from the objects of an earlier run.
package mesh

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Options configure the translation. They are the same for all services of a run.
type Options struct {
	// Domain is the domain of Consul's DNS, by default "consul".
	Domain string
	// Registries are all sources of the run, in the order of the configuration. It is empty for a single source, whose hosts
	// need no datacenter.
	Registries []Registry
	// ClusterDomain is the domain of the Kubernetes cluster. No service gets a host under it.
	ClusterDomain string
	// Hosts are templates of further hosts, in addition to the hosts of Consul's DNS.
	Hosts []HostTemplate
	// Form is the representation of the endpoints.
	Form Form
	// Networks are the networks of the endpoints.
	Networks Networks
	// PodRanges contain all addresses that may belong to a pod of the mesh. AutoForm uses them.
	PodRanges []netip.Prefix
	// PodAddress is the address for which AutoForm has chosen inline endpoints for the service before. Unlike all other
	// options, it belongs to one service.
	PodAddress netip.Addr
	// DefaultProtocol is the protocol of services without any hint to one.
	DefaultProtocol Protocol
	// Ports are the ports that instances may declare by meta and tags in addition to their own port.
	Ports []NamedPort
	// NoNativePort omits the port "native", for registries in which instances have random ports.
	NoNativePort bool
	// TLSOrigination lists the services for which Envoy originates TLS; the first match applies.
	TLSOrigination []TLSOrigination
	// ExternalServices lists the services outside of the mesh; the first match applies.
	ExternalServices []ExternalService
	// PassingOnly excludes instances in state warning from traffic.
	PassingOnly bool
	// Addresses restricts the addresses of instances.
	Addresses Addresses
	// Labels restricts the meta entries and tags that become labels.
	Labels Labels
	// TagHosts are globs of tags that get hosts of their own.
	TagHosts []string
	// MaxInstances is the maximum number of instances of a service that take traffic; 0 means the constant MaxInstances.
	MaxInstances int
	// Localities are the configured locations of sources, by name, for instances that declare none.
	Localities map[string]catalog.Locality
	// Placement selects the namespace of a service's objects and the namespaces that see them.
	Placement Placement
}

// Registry is the part of a source's configuration that determines its hosts.
type Registry struct {
	// Source is the name of the source.
	Source string
	// Domain is the domain of the source's DNS.
	Domain string
	// Datacenter is the configured datacenter; empty if none is configured.
	Datacenter string
	// Merged is true for a source that merges the services of several datacenters; its hosts name no datacenter.
	Merged bool
}

// Resources are the desired objects of one service; Objects is empty if the service needs none. The ServiceEntry comes
// first, then the DestinationRules and the WorkloadEntries, each sorted by name.
type Resources struct {
	Objects []Object
	// TagHosts are the objects of the tags with hosts of their own, sorted by tag.
	TagHosts []TagHost
	// Broken is true if the translation failed because of a bug. The live objects of the service must be kept.
	Broken bool
}

// Equal reports whether the objects of two services are equal in each field.
func (r Resources) Equal(other Resources) bool {
	return r.Broken == other.Broken && slices.EqualFunc(r.Objects, other.Objects, Object.Equal)
}

// Translate returns the desired objects of a service with the given name, and the findings about input that it skipped or
// adjusted. A service without a usable instance has no objects. Translate never panics: a panic gives Broken resources and
// a finding.
func Translate(service catalog.Service, name Name, options Options) (resources Resources, findings []Finding) {
	defer func() {
		if failure := recover(); failure != nil {
			resources, findings = broken(failure)
		}
	}()
	var report report
	resources = translate(service, name, options, &report)
	return resources, report.all()
}

func translate(service catalog.Service, name Name, options Options, report *report) Resources {
	if len(service.Name) > maxName {
		report.service(LongName, fmt.Sprintf("the name has %d bytes, the limit is %d; the service is skipped", len(service.Name), maxName))
		return Resources{}
	}
	service = withoutLeftOut(service, report)
	endpoints := usableEndpoints(service, options, report)
	if len(endpoints) == 0 {
		return Resources{}
	}
	options.resolveForm(endpoints, report)
	protocol := serviceProtocol(endpoints, report)
	origination := options.origination(service, protocol)
	namespace := options.Placement.place(service, name, report)
	entry := &networking.ServiceEntry{
		Hosts:      hosts(service, name, origination.forCallers(protocol), options, report),
		Location:   options.external(service).location(),
		Resolution: resolution(endpoints),
		ExportTo:   options.Placement.exportTo(service, namespace),
	}
	named := len(entry.Hosts)
	entry.Hosts = options.withExternalHost(entry.Hosts, service, name, origination.forCallers(protocol), report)
	if len(entry.Hosts) == 0 {
		report.service(BadHost, "no host is left; the service is skipped")
		return Resources{}
	}
	entry.Ports = servicePorts(endpoints, protocol, origination, options, len(entry.Hosts) > 1, report)
	if origination == nil && len(entry.Hosts) > named {
		entry.Ports = externalPorts(entry.Ports, endpoints)
	}
	resources := Resources{Objects: []Object{serviceEntryObject(service, name, namespace, entry)}}
	options.Placement.setRuleMetadata(service, &resources.Objects[0])
	options.notePodAddress(&resources.Objects[0])
	if origination != nil {
		resources.Objects = append(resources.Objects, origination.destinationRules(name, namespace, entry)...)
	}
	healthy := selectEndpoints(endpoints, name, options, report)
	tagged := tagHosts{
		service: service, name: name, endpoints: endpoints, entry: entry,
		namespace: namespace, origination: origination, options: options,
	}
	if options.Form == InlineForm {
		entry.Endpoints = inlineEndpoints(healthy, entry.Ports)
		if len(entry.Endpoints) == 0 {
			// Istio resolves the host of a DNS entry without endpoints.
			entry.Resolution = networking.ServiceEntry_STATIC
		}
		resources.TagHosts = tagged.translate(healthy, report)
		return resources
	}
	resources.TagHosts = tagged.translate(healthy, report)
	entry.WorkloadSelector = &networking.WorkloadSelector{Labels: identityLabels(name)}
	workloads := make([]Object, len(healthy))
	for i, e := range healthy {
		workloads[i] = workloadEntryObject(name, namespace, e)
	}
	slices.SortFunc(workloads, Object.compareName)
	resources.Objects = append(resources.Objects, workloads...)
	return resources
}

// inlineEndpoints returns the endpoints for a ServiceEntry. Istio accepts only ports that the ServiceEntry has.
func inlineEndpoints(endpoints []endpoint, ports []*networking.ServicePort) []*networking.WorkloadEntry {
	inline := make([]*networking.WorkloadEntry, 0, len(endpoints))
	for _, e := range endpoints {
		own := make(map[string]uint32, len(ports))
		for _, port := range ports {
			own[port.Name] = e.entry.Ports[port.Name]
		}
		e.entry.Ports = own
		inline = append(inline, e.entry)
	}
	ShareEndpoints(inline)
	return inline
}

// ShareEndpoints makes each endpoint alias the ports and labels of the previous one if they are equal, as is usual within
// a service. It saves 50 MB or more for 100,000 endpoints. The endpoints must be treated as read-only afterwards.
func ShareEndpoints(endpoints []*networking.WorkloadEntry) {
	for i := 1; i < len(endpoints); i++ {
		before, e := endpoints[i-1], endpoints[i]
		if before == nil || e == nil { // only in objects that other clients wrote
			continue
		}
		if maps.Equal(e.Ports, before.Ports) {
			e.Ports = before.Ports
		}
		if maps.Equal(e.Labels, before.Labels) {
			e.Labels = before.Labels
		}
		if e.Locality == before.Locality {
			e.Locality = before.Locality
		}
	}
}
