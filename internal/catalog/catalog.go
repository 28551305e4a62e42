// Package catalog describes the content of a service registry, independent of the kind of registry and of the mesh.
//
// It holds plain values. A source fills them in and the translation reads them. A value is immutable once it was passed on.
package catalog

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// Key identifies one service of one source.
type Key struct {
	// Source is the name of the source in the configuration.
	Source string
	// Name is the service's name exactly as the registry has it.
	Name string
}

// String returns "source/name", for logs.
func (k Key) String() string { return k.Source + "/" + k.Name }

// Compare orders keys by source, then by name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Source, other.Source), cmp.Compare(k.Name, other.Name))
}

// Service is the state of one service in a registry at one moment.
type Service struct {
	Key
	// Datacenter is the Consul datacenter from which the service was read.
	Datacenter string
	// Instances are sorted by ID, and IDs are unique. A complete report without instances means that the service is gone.
	Instances []Instance
	// FormerTags are tags that instances have or had and that have hosts of their own, sorted. The engine sets the field.
	FormerTags []string `json:"-"`
	// Partial is true if the registry may have instances that the report lacks, for example because of ACLs.
	Partial bool `json:"-"`
	// Seen holds the nodes of a partial report that were read completely, in lower case and sorted. An instance of such a
	// node that the report lacks is gone.
	Seen []string `json:"-"`
	// Generation orders services by the time at which they entered the mesh; 0 is the oldest. The guard sets it, and it
	// survives a restart. It is 0 in reports.
	Generation int `json:",omitempty"`
}

// Apply returns the state of a service after a report, given the state before.
//
//	report     an instance that the report lacks
//	complete   is gone
//	partial    is gone if its node is in Seen; otherwise it is kept
func (s Service) Apply(before Service) Service {
	if !s.Partial {
		return s
	}
	reported := make(map[InstanceID]bool, len(s.Instances))
	for _, i := range s.Instances {
		reported[i.ID.Fold()] = true
	}
	s.Instances = slices.Clone(s.Instances)
	for _, i := range before.Instances {
		id := i.ID.Fold()
		if _, seen := slices.BinarySearch(s.Seen, id.Node); !seen && !reported[id] {
			s.Instances = append(s.Instances, i)
		}
	}
	slices.SortFunc(s.Instances, func(a, b Instance) int { return a.ID.Compare(b.ID) })
	MarkEndpoints(s.Instances)
	s.Datacenter = cmp.Or(s.Datacenter, before.Datacenter)
	return s
}

// Merge combines two consecutive reports into one with the same effect.
func (s Service) Merge(earlier Service) Service {
	if !s.Partial {
		return s
	}
	both := s.Apply(earlier)
	if !earlier.Partial {
		return both.AsComplete()
	}
	both.Seen = slices.Concat(s.Seen, earlier.Seen)
	slices.Sort(both.Seen)
	both.Seen = slices.Compact(both.Seen)
	return both
}

// AsComplete returns the service as a complete report.
func (s Service) AsComplete() Service {
	s.Partial, s.Seen = false, nil
	return s
}

// InstanceID identifies an instance. Consul allows the same service ID on several nodes, so the service ID alone is not
// unique.
type InstanceID struct {
	Datacenter string
	Partition  string
	Namespace  string
	Node       string
	ServiceID  string
}

// Fold returns the key in the form in which Consul compares it: names of services are case-insensitive.
func (k Key) Fold() Key {
	k.Name = strings.ToLower(k.Name)
	return k
}

// Fold returns the ID in the form in which Consul compares it: node names and service IDs are case-insensitive.
func (id InstanceID) Fold() InstanceID {
	id.Node = strings.ToLower(id.Node)
	id.ServiceID = strings.ToLower(id.ServiceID)
	return id
}

// String returns "datacenter/node/serviceID", for logs.
func (id InstanceID) String() string { return id.Datacenter + "/" + id.Node + "/" + id.ServiceID }

// Compare orders IDs field by field.
func (id InstanceID) Compare(other InstanceID) int {
	return cmp.Or(
		cmp.Compare(id.Datacenter, other.Datacenter),
		cmp.Compare(id.Partition, other.Partition),
		cmp.Compare(id.Namespace, other.Namespace),
		cmp.Compare(id.Node, other.Node),
		cmp.Compare(id.ServiceID, other.ServiceID),
	)
}

// Instance is one registration of a service. Its fields are untrusted input.
type Instance struct {
	ID InstanceID
	// Source is the source that reports the instance if its service is merged from several sources; otherwise it is empty.
	Source string
	// Address is the registered address: an IP address, a host name or arbitrary text. It is the address of the node if the
	// instance has none of its own.
	Address string
	// Port is the registered port; 0 if there is none. It may be out of range.
	Port int
	// Virtual are the virtual addresses that the registry's own mesh gives to the service. Callers of this mesh must not get
	// them for another service.
	Virtual []string `json:",omitempty"`
	// Ports are the named ports (Consul's Ports) in the order of their registration. If one of them is the default, its
	// number equals Port.
	Ports []Port
	// Tags are in the order of their registration.
	Tags     []string
	Meta     map[string]string
	NodeMeta map[string]string
	Locality Locality
	Weights  Weights
	Health   Health
	// Checks are the service's own health checks, sorted and unique. They are hints to the protocol.
	Checks []Check
	// Protocol is the protocol of the port if it is known for certain, in any notation of a mesh; otherwise it is empty. It
	// is set for instances that were restored from the objects of an earlier run.
	Protocol string `json:",omitempty"`
	// ServiceProtocol is the protocol that the registry configures for the service (Consul's service-defaults), in any
	// notation of a mesh; empty if there is none.
	ServiceProtocol string `json:",omitempty"`
	// Modified orders the registrations of one datacenter by age: a newer one has a larger number (Consul's ModifyIndex).
	Modified uint64 `json:",omitempty"`
	// Superseded is true if a newer registration of the service has the same address and port. Only the newest registration
	// of an address and port counts. MarkEndpoints sets the field.
	Superseded bool `json:",omitempty"`
	// AdditionalPort is true if the registration is an additional port of an endpoint whose main port is another
	// registration, or if that other registration is missing. MarkEndpoints sets the field.
	AdditionalPort bool `json:",omitempty"`
	// LeftOut are the kinds for which the source leaves the instance out: it is no endpoint. It is empty for most instances.
	LeftOut Kinds `json:",omitempty"`
}

// Check is a health check of a service.
type Check struct {
	// Type is Consul's type in lower case: "http", "grpc", "tcp", "ttl"...
	Type string
	// Port is the port that the check tests; 0 if it is unknown or the check tests no port.
	Port int `json:",omitempty"`
	// TLS is true if the check uses TLS.
	TLS bool `json:",omitempty"`
}

// UnmarshalJSON also accepts a string with the type, as in state files of earlier builds.
func (c *Check) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		*c = Check{}
		return json.Unmarshal(raw, &c.Type)
	}
	type plain Check // without this method
	return json.Unmarshal(raw, (*plain)(c))
}

// Compare orders checks by type, port and TLS.
func (c Check) Compare(other Check) int {
	secure := func(c Check) int {
		if c.TLS {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(c.Type, other.Type), cmp.Compare(c.Port, other.Port), cmp.Compare(secure(c), secure(other)))
}

// Port is a named port of an instance.
type Port struct {
	// Name is arbitrary text.
	Name string
	// Number may be out of range.
	Number int
	// Default is true for the port of callers that name no port.
	Default bool
	// Address is the address of the port if it is not the instance's; such a port cannot be used.
	Address string `json:",omitempty"`
	// Protocol is the protocol of the port if the registry or the objects of an earlier run declare it, in any notation;
	// otherwise it is empty.
	Protocol string `json:",omitempty"`
}

// Locality is the location of an instance, as far as the registry has it.
type Locality struct {
	Region string
	Zone   string
}

// Weights are an instance's shares of traffic by health. Consul's default is 1 and 1.
type Weights struct {
	Passing int
	Warning int
}

// Health is the worst status among an instance's checks and the checks of its node.
type Health int

// The zero Health is Critical, so that an instance without a status gets no traffic.
const (
	Critical Health = iota
	Warning
	Passing
	// Maintenance is set by an operator (Consul's maintenance mode). Like Critical, it stops traffic.
	Maintenance
)

// String returns Consul's word for the health.
func (h Health) String() string {
	switch h {
	case Passing:
		return "passing"
	case Warning:
		return "warning"
	case Maintenance:
		return "maintenance"
	default:
		return "critical"
	}
}
