package mesh

import (
	"fmt"
	"hash/fnv"
	"strconv"
)

// Placement says which namespace a service's objects live in. Istio's work on the WorkloadEntries of one
// namespace grows with services times instances, so a large catalog is spread over several.
type Placement struct {
	// Base is the namespace, or the stem of the namespaces' names.
	Base string
	// Shards is how many namespaces there are, named Base-0 to Base-(Shards-1); 0 is the one namespace Base.
	Shards int
}

// Namespace returns the namespace of a service. It depends on the service's name alone.
func (p Placement) Namespace(name Name) string {
	if p.Shards == 0 {
		return p.Base
	}
	sum := fnv.New32a()
	fmt.Fprint(sum, name)
	return p.shard(int(sum.Sum32() % uint32(p.Shards)))
}

// Namespaces returns all namespaces that services are placed in.
func (p Placement) Namespaces() []string {
	if p.Shards == 0 {
		return []string{p.Base}
	}
	namespaces := make([]string, p.Shards)
	for i := range namespaces {
		namespaces[i] = p.shard(i)
	}
	return namespaces
}

func (p Placement) shard(i int) string { return p.Base + "-" + strconv.Itoa(i) }
