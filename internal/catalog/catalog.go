// Package catalog is what a service registry says, in words that belong to no registry and to no mesh.
//
// It holds values only: a source fills them in, the translation reads them, and nobody changes one after
// it was handed on.
package catalog

import (
	"cmp"
	"slices"
	"strings"
)

// Key names one service of one source.
type Key struct {
	// Source is the name that the configuration gives to the registry.
	Source string
	// Name is the service's name, letter for letter as the registry holds it.
	Name string
}

// String returns "source/name", for logs.
func (k Key) String() string { return k.Source + "/" + k.Name }

// Compare orders keys by source, then by name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Source, other.Source), cmp.Compare(k.Name, other.Name))
}

// Service is everything that a registry says of one service at one moment.
type Service struct {
	Key
	// Datacenter is the Consul datacenter that the service was read from.
	Datacenter string
	// Instances are sorted by ID and hold each ID once. No instances means that the service is gone, unless the report is
	// partial.
	Instances []Instance
	// Partial says that the registry may hold more than could be read. An instance that is missing is only known to be
	// gone where its node is one of Seen: those of which all is here, in lower case and sorted.
	Partial bool     `json:"-"`
	Seen    []string `json:"-"`
}

// Apply returns what a report comes to on top of what was known before: a whole one is all there is, a partial one also
// leaves what it can't know to be gone.
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
	s.Datacenter = cmp.Or(s.Datacenter, before.Datacenter)
	return s
}

// Merge returns the one report that says what two in a row do.
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

// AsComplete returns the service as all there is of it.
func (s Service) AsComplete() Service {
	s.Partial, s.Seen = false, nil
	return s
}

// InstanceID tells two instances apart. Consul lets a service ID repeat on another node, so the ID alone
// is not enough.
type InstanceID struct {
	Datacenter string
	Partition  string
	Namespace  string
	Node       string
	ServiceID  string
}

// Fold returns the ID as Consul compares it: the names of nodes and the IDs of services are the same
// whatever their case.
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

// Instance is one registration of a service. Its fields are untrusted: teams write them as they like.
type Instance struct {
	ID InstanceID
	// Source is the source that reports the instance, where its service is made of several; else empty.
	Source string
	// Address is where the instance says it listens: an IP address, a host name, or anything else that
	// was registered. It is the node's address where the instance has none of its own.
	Address string
	// Port is the port the instance listens on; 0 where it has none. It may be out of range.
	Port int
	// Ports are the ports that have a name (Consul's Ports), in the order of their registration. One of them may be
	// the default, whose number is Port too.
	Ports []Port
	// Tags are in the order of their registration.
	Tags     []string
	Meta     map[string]string
	NodeMeta map[string]string
	Locality Locality
	Weights  Weights
	Health   Health
	// Checks are the kinds of the service's own health checks, sorted, each once ("http", "grpc", "tcp",
	// "ttl"...). They hint at the protocol.
	Checks []string
}

// Port is one of several ports of an instance.
type Port struct {
	// Name is any text.
	Name string
	// Number may be out of range.
	Number int
	// Default says that it is the one of who doesn't name one.
	Default bool
}

// Locality is where an instance runs, as far as the registry knows.
type Locality struct {
	Region string
	Zone   string
}

// Weights are the shares of traffic that an instance asks for, by its health. Consul's default is 1 and 1.
type Weights struct {
	Passing int
	Warning int
}

// Health is the worst of an instance's checks and of its node's.
type Health int

// The zero Health is Critical, so that nothing is taken for healthy by omission.
const (
	Critical Health = iota
	Warning
	Passing
	// Maintenance is set by an operator (Consul's maintenance mode); it takes traffic away like Critical.
	Maintenance
)

// String returns the word that Consul uses for the health.
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
