package mesh

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// What an exportTo may hold beside names of namespaces, in Istio's letters.
const (
	exportToSame = "."
	exportToAll  = "*"
	exportToNone = "~"
)

// namespaceMeta is the meta entry by which a service chooses its namespace.
const namespaceMeta = "isthmus-namespace"

// Rule says what holds for some services. What it leaves empty it says nothing about.
type Rule struct {
	// Services are globs of names, as the registry has them.
	Services []string
	// Namespace is where the services' objects live.
	Namespace string
	// ExportTo are the namespaces that see the services.
	ExportTo []string
}

func (r Rule) fits(service catalog.Service) bool { return catalog.MatchAny(r.Services, service.Name) }

// place returns the namespace of a service: that of the first rule that says one, else the one that the service itself
// chooses, else the one that its name gives. Rules go first because they are the operator's word, and meta is anybody's.
func (p Placement) place(service catalog.Service, name Name, report *report) string {
	chosen := p.chosen(service, report)
	for _, rule := range p.Rules {
		if rule.Namespace == "" || !rule.fits(service) {
			continue
		}
		if chosen != "" && chosen != rule.Namespace {
			report.service(BadNamespace, fmt.Sprintf("meta: a rule places the service in %q; namespace %q is passed over", rule.Namespace, chosen))
		}
		return rule.Namespace
	}
	if chosen != "" {
		return chosen
	}
	return p.Namespace(name)
}

// chosen returns the allowed namespace that the instances name. All of them count, healthy or not, so that it stays
// while health comes and goes; those that name none have no say.
func (p Placement) chosen(service catalog.Service, report *report) string {
	var named []string
	for _, instance := range service.Instances {
		switch namespace := instance.Meta[namespaceMeta]; {
		case namespace == "", slices.Contains(named, namespace):
		case slices.Contains(p.Choices, namespace):
			named = append(named, namespace)
		default:
			report.instance(BadNamespace, instance,
				fmt.Sprintf("meta: namespace %q is not one that a service may choose; the entry is passed over", clip(namespace)))
		}
	}
	if len(named) == 0 {
		return ""
	}
	slices.Sort(named)
	if len(named) > 1 {
		report.service(MixedNamespaces, fmt.Sprintf("instances disagree about the namespace %v; %s is taken", named, named[0]))
	}
	return named[0]
}

// exportTo returns the namespaces that see a service which lives in a namespace.
func (p Placement) exportTo(service catalog.Service, namespace string) []string {
	to := p.ExportTo
	for _, rule := range p.Rules {
		if len(rule.ExportTo) > 0 && rule.fits(service) {
			to = rule.ExportTo
			break
		}
	}
	to = slices.Clone(to)
	if slices.Contains(to, exportToSame) { // Istio refuses the same namespace under both its names
		to = slices.DeleteFunc(to, func(other string) bool { return other == namespace })
	}
	return to
}

// CheckExportTo tells what is wrong with an exportTo by Istio's rules.
func CheckExportTo(to []string) error {
	var errs []error
	for i, namespace := range to {
		if slices.Contains(to[:i], namespace) {
			errs = append(errs, fmt.Errorf("%q is there twice", namespace))
		}
		switch {
		case namespace == exportToSame:
		case namespace == exportToAll, namespace == exportToNone:
			if len(to) > 1 {
				errs = append(errs, fmt.Errorf("%q stands alone", namespace))
			}
		case len(validation.IsDNS1123Label(namespace)) > 0:
			errs = append(errs, fmt.Errorf(`%q is not ".", "*", "~" or the name of a namespace`, namespace))
		}
	}
	return errors.Join(errs...)
}
