// Package mesh says what Istio should hold for a service of the catalog: one ServiceEntry, and one
// WorkloadEntry for each instance or the same instances as inline endpoints.
//
// It is made of pure functions: no clock, no network, no order of a map. Equal services give equal
// resources, on every replica and after every restart. Whatever a registry holds, what comes out passes
// Istio's own validation; what can't be expressed is left out and returned as a Finding.
package mesh

import (
	"fmt"
	"maps"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Form is how the endpoints of a service are written.
type Form string

const (
	// WorkloadEntryForm writes one WorkloadEntry for each instance; the ServiceEntry selects them by label.
	WorkloadEntryForm Form = "workloadEntry"
	// InlineForm writes the instances into the ServiceEntry: one object a service, which is what large
	// catalogs want.
	InlineForm Form = "inline"
)

// Options are the rules of the translation. They are the same for every service of a run.
type Options struct {
	// Domain is the domain of Consul's DNS, "consul" by default.
	Domain string
	// Registries are all sources of the run, in the order of the configuration; none where there is one source,
	// whose hosts need no datacenter.
	Registries []Registry
	// ClusterDomain is the domain of the Kubernetes cluster; no host is ever taken under it.
	ClusterDomain string
	// Hosts make further hosts for each service, beside the one that Consul's DNS has.
	Hosts []HostTemplate
	// Form is how the endpoints are written.
	Form Form
	// DefaultProtocol is taken where neither the meta nor the checks of a service tell its protocol.
	DefaultProtocol Protocol
	// Ports are those that instances may have beside their own, by their meta and tags.
	Ports []NamedPort
	// NoNativePort leaves out the instances' own port, for registries where each instance has another one.
	NoNativePort bool
	// TLSOrigination says where Envoy speaks TLS for the callers; the first that fits a service counts.
	TLSOrigination []TLSOrigination
	// PassingOnly leaves out the instances that are warning.
	PassingOnly bool
	// Addresses says which addresses instances may have.
	Addresses Addresses
	// Labels says which meta entries and tags become labels.
	Labels Labels
	// MaxInstances is how many instances of a service take traffic, at most MaxInstances, which 0 stands for.
	MaxInstances int
	// Placement says which namespace a service's objects live in, and which namespaces see it.
	Placement Placement
}

// Registry is a source among several, as far as its hosts are concerned.
type Registry struct {
	// Source is the source's name.
	Source string
	// Domain is the domain of its DNS.
	Domain string
	// Datacenter is the one that the configuration names; empty where it names none.
	Datacenter string
	// Merged says that it stands for several datacenters whose services are one: their host names none of them.
	Merged bool
}

// Resources are the objects that the mesh should hold for one service; none of them where Objects is empty.
// The ServiceEntry comes first, then the DestinationRules and the WorkloadEntries, each in the order of their names.
type Resources struct {
	Objects []Object
	// Broken says that nobody knows what they should be, by a mistake of isthmus: what stands in the mesh stays.
	Broken bool
}

// Equal tells whether two services' objects are the same in every field.
func (r Resources) Equal(other Resources) bool {
	return r.Broken == other.Broken && slices.EqualFunc(r.Objects, other.Objects, Object.Equal)
}

// Translate says what the mesh should hold for a service that goes by name there, and what of the service
// could not be carried over. A service without a usable instance has no resources. It never panics: where it should,
// the resources are Broken.
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
		report.service(LongName, fmt.Sprintf("its name has %d bytes, and a name may have %d; the service is left out", len(service.Name), maxName))
		return Resources{}
	}
	endpoints := usableEndpoints(service, options, report)
	if len(endpoints) == 0 {
		return Resources{}
	}
	protocol := serviceProtocol(endpoints, report)
	origination := options.origination(service, protocol)
	namespace := options.Placement.place(service, name, report)
	entry := &networking.ServiceEntry{
		Hosts:      hosts(service, name, origination.forCallers(protocol), options, report),
		Location:   networking.ServiceEntry_MESH_INTERNAL,
		Resolution: resolution(endpoints),
		ExportTo:   options.Placement.exportTo(service, namespace),
	}
	if len(entry.Hosts) == 0 {
		report.service(BadHost, "there is no host that it can have; the service is left out")
		return Resources{}
	}
	entry.Ports = servicePorts(endpoints, protocol, origination, options, len(entry.Hosts) > 1, report)
	resources := Resources{Objects: []Object{serviceEntryObject(service, name, namespace, entry)}}
	if origination != nil {
		resources.Objects = append(resources.Objects, origination.destinationRules(name, namespace, entry)...)
	}
	healthy := selectEndpoints(endpoints, name, options, report)
	if options.Form == InlineForm {
		entry.Endpoints = inlineEndpoints(healthy, entry.Ports)
		if len(entry.Endpoints) == 0 {
			// A DNS entry without endpoints would make Istio resolve the host itself.
			entry.Resolution = networking.ServiceEntry_STATIC
		}
		return resources
	}
	entry.WorkloadSelector = &networking.WorkloadSelector{Labels: identityLabels(name)}
	workloads := make([]Object, len(healthy))
	for i, e := range healthy {
		workloads[i] = workloadEntryObject(name, namespace, e)
	}
	slices.SortFunc(workloads, Object.compareName)
	resources.Objects = append(resources.Objects, workloads...)
	return resources
}

// inlineEndpoints are the endpoints as Istio takes them inside a ServiceEntry: with the ports that it has
// and no others.
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

// ShareEndpoints has each endpoint refer to the ports and labels of the one before it where they are the same, as those
// of a service mostly are: of 100,000 endpoints the maps take 50 MB and more. None of them may be changed afterwards.
func ShareEndpoints(endpoints []*networking.WorkloadEntry) {
	for i := 1; i < len(endpoints); i++ {
		before, e := endpoints[i-1], endpoints[i]
		if before == nil || e == nil { // by somebody else's hand
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
