package kube

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// maxConflicts is how many conflicts are told at a time; the metrics count all.
const maxConflicts = 100

// Conflict is a host, or a virtual address, that a service and somebody else's object would have.
type Conflict struct {
	// Service is the service's name in the mesh.
	Service string `json:"service"`
	Host    string `json:"host,omitempty"`
	// Address is set in place of a host.
	Address netip.Addr `json:"address,omitzero"`
	// Of is the other object: its kind, namespace and name.
	Of string `json:"of"`
	// Outcome is "left" where it is left to the other, "kept" where the service keeps it.
	Outcome string `json:"outcome"`
}

// Conflicts returns what is in dispute on the replica that leads, sorted by service, and how many there are: the first
// hundred are returned.
func (o *Output) Conflicts() (first []Conflict, count int) {
	if o.term.Load() == nil {
		return nil, 0
	}
	o.neighbours.mu.Lock()
	for name, disputes := range o.neighbours.disputes {
		for _, d := range disputes {
			first = append(first, Conflict{Service: name.String(), Host: d.host, Address: d.address, Of: d.claim, Outcome: d.outcome()})
		}
	}
	o.neighbours.mu.Unlock()
	slices.SortFunc(first, func(a, b Conflict) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Host, b.Host), a.Address.Compare(b.Address), strings.Compare(a.Of, b.Of))
	})
	return first[:min(len(first), maxConflicts)], len(first)
}

// forgetDisputes is for a replica that no longer leads: the one that does knows of them.
func (o *Output) forgetDisputes() {
	o.neighbours.mu.Lock()
	defer o.neighbours.mu.Unlock()
	for _, disputes := range o.neighbours.disputes {
		for _, d := range disputes {
			o.metrics.disputed(d, -1)
		}
	}
	clear(o.neighbours.disputes)
}
