package engine

import (
	"cmp"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// FindingStatus is one finding of a service.
type FindingStatus struct {
	// Service is the source and the name of the service.
	Service string `json:"service"`
	// Reason is the reason of the finding.
	Reason mesh.Reason `json:"reason"`
	// Count is the number of cases.
	Count int `json:"count"`
	// Examples are the first cases with different details.
	Examples []ExampleStatus `json:"examples"`
}

// ExampleStatus is one detail of a finding.
type ExampleStatus struct {
	// Detail describes the input and the effect.
	Detail string `json:"error"`
	// Subjects are the first instances, hosts or ports with this detail.
	Subjects []string `json:"objects,omitempty"`
	// Count is the number of cases with this detail.
	Count int `json:"count"`
}

// Findings returns the first findings up to a limit, and the number of all. Findings that need no action in most cases come last;
// otherwise the order is by reason and by service.
func (e *Engine) Findings(limit int) (first []FindingStatus, count int) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	type ref struct {
		service *serviceState
		at      int
	}
	var all []ref
	for _, service := range e.services {
		for at := range service.findings {
			all = append(all, ref{service, at})
		}
	}
	slices.SortFunc(all, func(a, b ref) int {
		left, right := a.service.findings[a.at].Reason, b.service.findings[b.at].Reason
		return cmp.Or(
			cmp.Compare(rankOf(left), rankOf(right)), cmp.Compare(left, right), a.service.Key.Compare(b.service.Key),
		)
	})
	for _, r := range all[:min(limit, len(all))] {
		finding := r.service.findings[r.at]
		status := FindingStatus{Service: r.service.Key.String(), Reason: finding.Reason, Count: finding.Count}
		for _, example := range finding.Examples {
			status.Examples = append(status.Examples, ExampleStatus(example))
		}
		first = append(first, status)
	}
	return first, len(all)
}

// rankOf orders reasons by urgency.
func rankOf(reason mesh.Reason) int {
	if informative[reason] {
		return 1
	}
	return 0
}
