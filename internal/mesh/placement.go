package mesh

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
)

// Placement selects the namespace of a service's objects and the namespaces that see them. Istio's work on the
// WorkloadEntries of a namespace grows with services times instances, so a large catalog is spread over several
// namespaces. The first match decides the namespace:
//
//  1. the first rule with a namespace that matches the service
//  2. the namespace that the instances choose by meta, if it is one of Choices
//  3. the shard of the service's name
type Placement struct {
	// Base is the namespace or, with shards, the prefix of the namespaces.
	Base string
	// Shards is the number of namespaces, named Base-0 to Base-(Shards-1); 0 means the single namespace Base.
	Shards int
	// Rules have precedence; the first rule that matches and sets a property applies.
	Rules []Rule
	// Choices are the namespaces that a service may choose by its meta.
	Choices []string
	// ExportTo are the namespaces that see a service without a rule for it; empty means Istio's default.
	ExportTo []string
}

// Namespace returns the namespace of a service without a rule and without a choice. It depends on the service's name only.
func (p Placement) Namespace(name Name) string {
	if p.Shards == 0 {
		return p.Base
	}
	sum := fnv.New32a()
	fmt.Fprint(sum, name)
	return p.shard(int(sum.Sum32() % uint32(p.Shards)))
}

// Namespaces returns all namespaces that services can be placed in: first the shards, then Named.
func (p Placement) Namespaces() []string {
	namespaces := []string{p.Base}
	if p.Shards > 0 {
		namespaces = make([]string, p.Shards)
	}
	for i := range p.Shards {
		namespaces[i] = p.shard(i)
	}
	for _, named := range p.Named() {
		if !slices.Contains(namespaces, named) {
			namespaces = append(namespaces, named)
		}
	}
	return namespaces
}

// Named returns the namespaces of the rules and of the services' choice, sorted.
func (p Placement) Named() []string {
	named := slices.Clone(p.Choices)
	for _, rule := range p.Rules {
		if rule.Namespace != "" {
			named = append(named, rule.Namespace)
		}
	}
	slices.Sort(named)
	return slices.Compact(named)
}

func (p Placement) shard(i int) string { return p.Base + "-" + strconv.Itoa(i) }
