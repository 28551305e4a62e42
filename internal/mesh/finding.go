package mesh

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
	// TooManyObjects means that the objects of the service, or some of them, wait because of the limit of objects.
	TooManyObjects Reason = "too_many_objects"
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
