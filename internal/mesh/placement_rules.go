package mesh

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// The special values of exportTo in Istio's API.
const (
	exportToSame = "."
	exportToAll  = "*"
	exportToNone = "~"
)

// namespaceMeta is the meta key by which a service chooses its namespace.
const namespaceMeta = "isthmus-namespace"

// Rule overrides the placement and the metadata of some services. An empty field sets nothing.
type Rule struct {
	// Services are globs of registered names.
	Services []string
	// Namespace is the namespace of the services' objects.
	Namespace string
	// ExportTo are the namespaces that see the services.
	ExportTo []string
	// Labels are labels of the services' ServiceEntries.
	Labels map[string]string
	// Annotations are annotations of the services' ServiceEntries.
	Annotations map[string]string
}

// fits reports whether the rule applies to a service.
func (r Rule) fits(service catalog.Service) bool {
	return catalog.MatchService(r.Services, service.Name)
}

// place returns the namespace of a service. Rules have precedence over meta because operators write the rules, while any
// team can write meta.
func (p Placement) place(service catalog.Service, name Name, report *report) string {
	chosen := p.chosen(service, report)
	for _, rule := range p.Rules {
		if rule.Namespace == "" || !rule.fits(service) {
			continue
		}
		if chosen != "" && chosen != rule.Namespace {
			report.service(BadNamespace, fmt.Sprintf("meta: a rule places the service in %q; namespace %q is ignored", rule.Namespace, chosen))
		}
		return rule.Namespace
	}
	if chosen != "" {
		return chosen
	}
	return p.Namespace(name)
}

// chosen returns the allowed namespace that the instances choose. All instances count, healthy or not, so the result does
// not change with health. Instances that choose none are ignored.
func (p Placement) chosen(service catalog.Service, report *report) string {
	var named []string
	for _, instance := range service.Instances {
		switch namespace := instance.Meta[namespaceMeta]; {
		case namespace == "", slices.Contains(named, namespace):
		case slices.Contains(p.Choices, namespace):
			named = append(named, namespace)
		default:
			report.instance(BadNamespace, instance,
				fmt.Sprintf("meta: namespace %q is not one of mesh.namespaceChoices; the entry is ignored", clip(namespace)))
		}
	}
	if len(named) == 0 {
		return ""
	}
	slices.Sort(named)
	if len(named) > 1 {
		report.service(MixedNamespaces, fmt.Sprintf("instances disagree about the namespace %v; %s applies", named, named[0]))
	}
	return named[0]
}

// exportTo returns the namespaces that see a service in the given namespace.
func (p Placement) exportTo(service catalog.Service, namespace string) []string {
	to := p.ExportTo
	for _, rule := range p.Rules {
		if len(rule.ExportTo) > 0 && rule.fits(service) {
			to = rule.ExportTo
			break
		}
	}
	to = slices.Clone(to)
	if slices.Contains(to, exportToSame) { // Istio rejects the same namespace in both notations
		to = slices.DeleteFunc(to, func(other string) bool { return other == namespace })
	}
	return to
}

// CheckExportTo returns an error if Istio would reject an exportTo.
func CheckExportTo(to []string) error {
	var errs []error
	for i, namespace := range to {
		if slices.Contains(to[:i], namespace) {
			errs = append(errs, fmt.Errorf("%q is a duplicate", namespace))
		}
		switch {
		case namespace == exportToSame:
		case namespace == exportToAll, namespace == exportToNone:
			if len(to) > 1 {
				errs = append(errs, fmt.Errorf("%q cannot be combined with other namespaces", namespace))
			}
		case len(validation.IsDNS1123Label(namespace)) > 0:
			errs = append(errs, fmt.Errorf(`%q is neither ".", "*", "~" nor the name of a namespace`, namespace))
		}
	}
	return errors.Join(errs...)
}
