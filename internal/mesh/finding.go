package mesh

import (
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Reason classes findings; it is the value of a metric's label.
type Reason string

const (
	// NoAddress: neither the instance nor its node has an address; the instance is left out.
	NoAddress Reason = "no_address"
	// BadAddress: the address is neither an IP address nor a host name; the instance is left out.
	BadAddress Reason = "bad_address"
	// ForbiddenAddress: the address is one that instances can't have, by itself or by the configuration; the instance
	// is left out.
	ForbiddenAddress Reason = "forbidden_address"
	// BadPort: the port is not within 1 and 65535; the instance is left out, or that port where it has a name.
	BadPort Reason = "bad_port"
	// SkippedPort: a port with a name that not all instances have, or that can't stand beside the others; it is left out.
	SkippedPort Reason = "skipped_port"
	// BadLabel: a meta entry or tag that can't be made a label; it is left out.
	BadLabel Reason = "bad_label"
	// ReservedLabel: a meta entry or tag with a name that Istio, Kubernetes or isthmus gives a meaning to, or that the
	// configuration denies; it is left out.
	ReservedLabel Reason = "reserved_label"
	// BadHost: a host that is no host name, or is not the service's to take; it is left out.
	BadHost Reason = "bad_host"
	// UnknownProtocol: the meta names a protocol that Istio doesn't have; it is passed over.
	UnknownProtocol Reason = "unknown_protocol"
	// MixedProtocols: the instances disagree about the protocol; the most careful one is taken.
	MixedProtocols Reason = "mixed_protocols"
	// BadNamespace: the meta chooses a namespace that the service can't have; the entry is passed over.
	BadNamespace Reason = "bad_namespace"
	// MixedNamespaces: the instances disagree about the namespace; the first in the alphabet is taken.
	MixedNamespaces Reason = "mixed_namespaces"
	// Renamed: the service's name is no DNS label, or looks like a hashed one; the mesh has it by another name.
	Renamed Reason = "renamed"
	// TooManyInstances: an instance beyond those that a service may have; it is left out.
	TooManyInstances Reason = "too_many_instances"
	// TooManyLabels: an instance has more meta entries and tags than are looked at, or than an endpoint may have
	// labels; the others are left out.
	TooManyLabels Reason = "too_many_labels"
	// LongName: the service's name is longer than any that can be called; the service is left out.
	LongName Reason = "long_name"
	// NoVirtualAddress: the range of virtual addresses is full; the service has none.
	NoVirtualAddress Reason = "no_virtual_address"
	// AddressClash: an instance is registered with an address of the range of virtual addresses; it is taken as it is.
	AddressClash Reason = "address_clash"
	// Untranslatable: a mistake of isthmus; what stands of the service in the mesh stays.
	Untranslatable Reason = "untranslatable"
)

// Finding is one thing that the mesh could not take over as the registry says it.
type Finding struct {
	Reason Reason
	// Subject is what it is about: an instance's ID, a host, or empty for the service.
	Subject string
	// Detail says what was found and what became of it.
	Detail string
	// Count is how many things it stands for, at least 1.
	Count int
}

// Same tells whether two findings say the same, of as many things or not.
func (f Finding) Same(other Finding) bool {
	return f.Reason == other.Reason && f.Subject == other.Subject && f.Detail == other.Detail
}

// maxReported is how many findings of one reason are named for one service. Who registers thousands of broken instances
// fills neither the log nor our memory.
const maxReported = 16

// report collects the findings of one translation in the order in which they were made: of each reason the first
// ones, each once, and how many more there are.
type report struct {
	findings []Finding
	reported map[Reason]int
	// more are those of a reason that are not named, in the order of their reasons' first.
	overflow []Finding
}

// service adds what is about the service itself, host about one of its hosts, instance about one of its instances.
func (r *report) service(reason Reason, detail string) { r.add(reason, "", detail) }

func (r *report) port(name, detail string)                { r.add(SkippedPort, "port "+name, detail) }
func (r *report) host(reason Reason, host, detail string) { r.add(reason, clip(host), detail) }
func (r *report) instance(reason Reason, instance catalog.Instance, detail string) {
	if r.reported[reason] < maxReported {
		r.add(reason, instanceSubject(instance.ID), detail)
	} else {
		r.count(reason)
	}
}

// instanceSubject names an instance as its ID does, in bounds: a service's ID may have 10 kB.
func instanceSubject(id catalog.InstanceID) string {
	return clip(id.Datacenter) + "/" + clip(id.Node) + "/" + clip(id.ServiceID)
}

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

func (r *report) count(reason Reason) {
	at := slices.IndexFunc(r.overflow, func(f Finding) bool { return f.Reason == reason })
	if at < 0 {
		at = len(r.overflow)
		r.overflow = append(r.overflow, Finding{Reason: reason, Detail: "there are more of this; they are counted, not named"})
	}
	r.overflow[at].Count++
}

// all returns the findings, those that count others last.
func (r *report) all() []Finding { return slices.Concat(r.findings, r.overflow) }
