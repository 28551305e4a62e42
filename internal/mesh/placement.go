package mesh

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
)

// Placement says which namespace a service's objects live in, and which namespaces see it. Istio's work on the WorkloadEntries of one
// namespace grows with services times instances, so a large catalog is spread over several.
type Placement struct {
	// Base is the namespace, or the stem of the namespaces' names.
	Base string
	// Shards is how many namespaces there are, named Base-0 to Base-(Shards-1); 0 is the one namespace Base.
	Shards int
	// Rules go before everything else; of several that fit, the first one that says it.
	Rules []Rule
	// Choices are the namespaces that a service may choose itself, by its meta.
	Choices []string
	// ExportTo are the namespaces that see a service of which no rule says it; none leaves it to Istio.
	ExportTo []string
}

// Namespace returns the namespace of a service that no rule and no meta places. It depends on the service's name alone.
func (p Placement) Namespace(name Name) string {
	if p.Shards == 0 {
		return p.Base
	}
	sum := fnv.New32a()
	fmt.Fprint(sum, name)
	return p.shard(int(sum.Sum32() % uint32(p.Shards)))
}

// Namespaces returns all namespaces that services can be placed in: first those that their names give, then the Named.
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
