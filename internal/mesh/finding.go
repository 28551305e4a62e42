package mesh

import (
	"fmt"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Reason classifies findings. It is the value of a metric label.
type Reason string

const (
	// NoAddress means that neither the instance nor its node has an address. The instance is skipped.
	NoAddress Reason = "no_address"
	// BadAddress means that the address is neither an IP address nor a host name. The instance is skipped.
	BadAddress Reason = "bad_address"
	// ForbiddenAddress means that the built-in list or the configuration rejects the address. The instance is skipped.
	ForbiddenAddress Reason = "forbidden_address"
	// MixedAddresses means that the address is a host name in a service of IP addresses. The instance is skipped.
	MixedAddresses Reason = "mixed_addresses"
	// BadPort means that the port is not in the range 1-65535. The instance is skipped, or only the port if it is a named one.
	BadPort Reason = "bad_port"
	// SkippedPort means that a named port is missing on some instances or conflicts with another port. The port is skipped.
	SkippedPort Reason = "skipped_port"
	// PortWithoutEndpoint means that a registration is an additional port, but its address has no registration of the main
	// port. The registration is skipped.
	PortWithoutEndpoint Reason = "port_without_endpoint"
	// AmbiguousPorts means that an address has several registrations that nothing tells apart. Each is an instance.
	AmbiguousPorts Reason = "ambiguous_ports"
	// Duplicate means that a newer registration has the same address and port. The instance is skipped.
	Duplicate Reason = "duplicate"
	// BadLabel means that a meta entry or tag cannot be converted to a label. It is skipped.
	BadLabel Reason = "bad_label"
	// ReservedLabel means that the key of a meta entry or tag is reserved for Istio, Kubernetes or isthmus.
	// The entry is skipped.
	ReservedLabel Reason = "reserved_label"
	// BadHost means that a host is not a valid host name or belongs to another service. The host is skipped.
	BadHost Reason = "bad_host"
	// TooManyTagHosts means that the service has more tags with a host than allowed. Further tags get no host.
	TooManyTagHosts Reason = "too_many_tag_hosts"
	// UnknownProtocol means that the meta names a protocol that Istio does not have. The entry is ignored.
	UnknownProtocol Reason = "unknown_protocol"
	// ContradictoryProtocol means that a check of the port contradicts the declared protocol.
	ContradictoryProtocol Reason = "contradictory_protocol"
	// MixedProtocols means that the instances disagree about the protocol. The service gets the protocol that all have in
	// common.
	MixedProtocols Reason = "mixed_protocols"
	// BadNamespace means that the meta chooses a namespace that the service cannot have. The entry is ignored.
	BadNamespace Reason = "bad_namespace"
	// MixedNamespaces means that the instances disagree about the namespace. The first in alphabetical order applies.
	MixedNamespaces Reason = "mixed_namespaces"
	// Renamed means that the service's name is not a DNS label or looks like a hashed name. The mesh uses another name.
	Renamed Reason = "renamed"
	// TooManyInstances means that the service has more instances than allowed. Further instances are skipped.
	TooManyInstances Reason = "too_many_instances"
	// TooManyLabels means that an instance has more meta entries, tags or labels than allowed. Further ones are skipped.
	TooManyLabels Reason = "too_many_labels"
	// LongName means that the service's name is too long for any caller. The service is skipped.
	LongName Reason = "long_name"
	// NoVirtualAddress means that the range of virtual addresses is full. The service has no virtual address.
	NoVirtualAddress Reason = "no_virtual_address"
	// AddressClash means that an instance is registered with an address of the virtual range. No service gets that address.
	AddressClash Reason = "address_clash"
	// PodAddress means that WorkloadEntries have addresses that may be those of pods. Istio then takes away the per-port
	// inbound configuration of these pods.
	PodAddress Reason = "pod_address"
	// IsUDP means that the instance or a named port listens on UDP. It is skipped, unless the source includes the kind.
	IsUDP Reason = "udp"
	// ConnectNative means that the instance accepts only the mutual TLS of Consul's mesh. The instance is skipped, unless the
	// source includes the kind.
	ConnectNative Reason = "connect_native"
	// ConnectSidecar means that only its sidecar of Consul's mesh may call the instance. The instance is skipped, unless the
	// source includes the kind.
	ConnectSidecar Reason = "connect_sidecar"
	// KubernetesSync means that a Kubernetes cluster copied the instance to the registry. The instance is skipped, unless the
	// source includes the kind.
	KubernetesSync Reason = "kubernetes_sync"
	// Untranslatable means that the translation failed because of a bug. The live objects of the service are kept.
	Untranslatable Reason = "untranslatable"
)

// Finding is an input that was skipped or adjusted.
type Finding struct {
	Reason Reason
	// Subject is the instance's ID, host, port or entry; it is empty if the finding concerns the service itself.
	Subject string
	// Detail describes the input and the effect.
	Detail string
	// Count is the number of cases that the finding represents, at least 1.
	Count int
}

// Same reports whether two findings differ at most in their counts.
func (f Finding) Same(other Finding) bool {
	return f.Reason == other.Reason && f.Subject == other.Subject && f.Detail == other.Detail
}

// maxReported is the number of findings that are listed for each service and reason. It bounds the log and the memory that
// thousands of broken instances can take.
const maxReported = 16

// report collects the findings of one translation in their order. It lists the first findings of each reason without
// duplicates, and counts the rest.
type report struct {
	findings []Finding
	reported map[Reason]int
	// overflow holds one finding for each reason with more than maxReported findings, in the order of their occurrence.
	overflow []Finding
}

// service adds a finding about the service itself.
func (r *report) service(reason Reason, detail string) { r.add(reason, "", detail) }

// port adds a finding about a named port.
func (r *report) port(name, detail string) { r.add(SkippedPort, "port "+name, detail) }

// host adds a finding about a host.
func (r *report) host(reason Reason, host, detail string) { r.add(reason, clip(host), detail) }

// instance adds a finding about an instance.
func (r *report) instance(reason Reason, instance catalog.Instance, detail string) {
	if r.reported[reason] < maxReported {
		r.add(reason, instanceSubject(instance.ID), detail)
	} else {
		r.count(reason)
	}
}

// superseded adds a finding about an instance with the address and port of a newer registration.
func (r *report) superseded(instance, newest catalog.Instance) {
	r.instance(Duplicate, instance, fmt.Sprintf(
		"address %s port %d has a newer registration, %s; the instance is skipped", clip(instance.Address), instance.Port, instanceSubject(newest.ID),
	))
}

// podAddresses adds the finding that WorkloadEntries may have the addresses of pods. It names no address, so it stays the
// same while instances come and go.
func (r *report) podAddresses(count int) {
	r.findings = append(r.findings, Finding{Reason: PodAddress, Count: count, Detail: "WorkloadEntries have addresses in " +
		"mesh.podRanges: a pod with such an address loses the inbound configuration of its ports; set mesh.endpoints to auto, " +
		"or mesh.podRanges to the ranges of the pods"})
}

// instanceSubject returns the ID of an instance with a bounded length: a service ID may have 10 kB.
func instanceSubject(id catalog.InstanceID) string {
	return clip(id.Datacenter) + "/" + clip(id.Node) + "/" + clip(id.ServiceID)
}

// add adds a finding unless it is a duplicate, or counts it if there are too many of its reason.
func (r *report) add(reason Reason, subject, detail string) {
	finding := Finding{Reason: reason, Subject: subject, Detail: detail, Count: 1}
	switch {
	case slices.ContainsFunc(r.findings, finding.Same):
		return
	case r.reported[reason] == maxReported:
		r.count(reason)
		return
	}
	if r.reported == nil {
		r.reported = map[Reason]int{}
	}
	r.reported[reason]++
	r.findings = append(r.findings, finding)
}

// count counts a finding that is not listed.
func (r *report) count(reason Reason) {
	at := slices.IndexFunc(r.overflow, func(f Finding) bool { return f.Reason == reason })
	if at < 0 {
		at = len(r.overflow)
		r.overflow = append(r.overflow, Finding{Reason: reason, Detail: "further findings of this reason are counted but not listed"})
	}
	r.overflow[at].Count++
}

// all returns the findings; those that count others come last.
func (r *report) all() []Finding { return slices.Concat(r.findings, r.overflow) }
