package mesh

// Reason classes findings; it is the value of a metric's label.
type Reason string

const (
	// NoAddress: neither the instance nor its node has an address; the instance is left out.
	NoAddress Reason = "no_address"
	// BadAddress: the address is neither an IP address nor a host name; the instance is left out.
	BadAddress Reason = "bad_address"
	// BadPort: the port is not within 1 and 65535; the instance is left out.
	BadPort Reason = "bad_port"
	// BadLabel: a meta entry or tag that can't be made a label; it is left out.
	BadLabel Reason = "bad_label"
	// ReservedLabel: a meta entry or tag with a name that Istio, Kubernetes or isthmus gives a meaning to; it
	// is left out.
	ReservedLabel Reason = "reserved_label"
	// BadHost: a host template made something that is no host, or is not ours to take; it is left out.
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
)

// Finding is one thing that the mesh could not take over as the registry says it.
type Finding struct {
	Reason Reason
	// Subject is what it is about: an instance's ID, a host, or empty for the service.
	Subject string
	// Detail says what was found and what became of it.
	Detail string
}

// report collects the findings of one translation, each once, in the order in which they were made.
type report struct {
	findings []Finding
	seen     map[Finding]bool
}

func (r *report) add(reason Reason, subject, detail string) {
	finding := Finding{Reason: reason, Subject: subject, Detail: detail}
	if r.seen[finding] {
		return
	}
	if r.seen == nil {
		r.seen = map[Finding]bool{}
	}
	r.seen[finding] = true
	r.findings = append(r.findings, finding)
}
