package mesh

import (
	"fmt"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Finding describes the parts of a service's registrations that were skipped or adjusted for one reason. A service has at most
// one finding for each reason.
type Finding struct {
	Reason Reason
	// Count is the number of cases: instances, ports, hosts or entries.
	Count int
	// Examples are the first cases with different details, at least one.
	Examples []Example
}

// Example is one detail of a finding, and the cases with this detail.
type Example struct {
	// Detail describes the input and the effect.
	Detail string
	// Subjects are the first instances, hosts or ports with this detail. It is empty if the finding is about the service itself.
	Subjects []string
	// Count is the number of cases with this detail.
	Count int
}

const (
	// maxExamples is the number of examples of a finding.
	maxExamples = 3
	// maxSubjects is the number of subjects of an example.
	maxSubjects = 3
)

// Details returns the details of the examples.
func (f Finding) Details() []string {
	details := make([]string, len(f.Examples))
	for i, example := range f.Examples {
		details[i] = example.Detail
	}
	return details
}

// Same reports whether two findings differ at most in their counts and subjects.
func (f Finding) Same(other Finding) bool {
	return f.Reason == other.Reason && slices.Equal(f.Details(), other.Details())
}

// AddFinding adds cases to the findings of a service. The subject is empty if the case concerns the service itself.
func AddFinding(findings []Finding, reason Reason, subject, detail string, count int) []Finding {
	at := slices.IndexFunc(findings, func(f Finding) bool { return f.Reason == reason })
	if at < 0 {
		at = len(findings)
		findings = append(findings, Finding{Reason: reason})
	}
	f := &findings[at]
	f.Count += count
	example := slices.IndexFunc(f.Examples, func(e Example) bool { return e.Detail == detail })
	if example < 0 {
		if len(f.Examples) == maxExamples {
			return findings
		}
		example = len(f.Examples)
		f.Examples = append(f.Examples, Example{Detail: detail})
	}
	e := &f.Examples[example]
	if e.Count += count; subject != "" && len(e.Subjects) < maxSubjects && !slices.Contains(e.Subjects, subject) {
		e.Subjects = append(e.Subjects, subject)
	}
	return findings
}

// report collects the findings of one translation, in the order of their first cases.
type report struct {
	findings []Finding
	// last is the last case. A part of a registration is inspected several times, and is one case.
	last struct {
		reason          Reason
		subject, detail string
	}
}

// service adds a finding about the service itself.
func (r *report) service(reason Reason, detail string) { r.add(reason, "", detail) }

// port adds a finding about a named port.
func (r *report) port(name, detail string) { r.add(SkippedPort, "port "+name, detail) }

// host adds a finding about a host.
func (r *report) host(reason Reason, host, detail string) { r.add(reason, clip(host), detail) }

// instance adds a finding about an instance.
func (r *report) instance(reason Reason, instance catalog.Instance, detail string) {
	r.add(reason, instanceSubject(instance.ID), detail)
}

// superseded adds a finding about an instance with the address and port of a newer registration.
func (r *report) superseded(instance, newest catalog.Instance) {
	r.instance(Duplicate, instance, fmt.Sprintf(
		"address %s port %d has a newer registration, %s; the instance is skipped", clip(instance.Address), instance.Port, instanceSubject(newest.ID),
	))
}

// podAddresses adds the finding that WorkloadEntries may have the addresses of pods. It names no address, so it stays the
// same while instances come and go.
func (r *report) podAddresses(count int) {
	r.findings = AddFinding(r.findings, PodAddress, "", "WorkloadEntries have addresses in "+
		"mesh.podRanges: a pod with such an address loses the inbound configuration of its ports; set mesh.endpoints to auto, "+
		"or mesh.podRanges to the ranges of the pods", count)
}

// instanceSubject returns the ID of an instance with a bounded length: a service ID may have 10 kB.
func instanceSubject(id catalog.InstanceID) string {
	return clip(id.Datacenter) + "/" + clip(id.Node) + "/" + clip(id.ServiceID)
}

// add adds a case to the finding of its reason, unless it is the same as the previous case or one of the examples.
func (r *report) add(reason Reason, subject, detail string) {
	if r.last.reason == reason && r.last.subject == subject && r.last.detail == detail || r.known(reason, subject, detail) {
		return
	}
	r.last.reason, r.last.subject, r.last.detail = reason, subject, detail
	r.findings = AddFinding(r.findings, reason, subject, detail, 1)
}

// known reports whether a case is among the examples.
func (r *report) known(reason Reason, subject, detail string) bool {
	at := slices.IndexFunc(r.findings, func(f Finding) bool { return f.Reason == reason })
	return at >= 0 && slices.ContainsFunc(r.findings[at].Examples, func(e Example) bool {
		return e.Detail == detail && (slices.Contains(e.Subjects, subject) || subject == "" && len(e.Subjects) == 0)
	})
}

// all returns the findings.
func (r *report) all() []Finding { return r.findings }
