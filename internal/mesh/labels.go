package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Istio's own labels: app for older dashboards, the canonical ones for telemetry, version for subsets.
const (
	appLabel               = "app"
	versionLabel           = "version"
	canonicalNameLabel     = "service.istio.io/canonical-name"
	canonicalRevisionLabel = "service.istio.io/canonical-revision"
	noRevision             = "latest"
)

const (
	// maxLabels is how many labels Istio's schema lets a WorkloadEntry have.
	maxLabels = 256
	// ownLabels is how many of them are Istio's and ours.
	ownLabels = 5
)

// reservedDomains are the domains of label prefixes that give a workload identity, traffic or a meaning. Who
// may write to the registry must not be able to give these.
var reservedDomains = []string{"istio.io", "kubernetes.io", "k8s.io", strings.TrimSuffix(prefix, "/")}

// instanceLabels are the labels of an endpoint: meta entries, then tags of the form key=value or key|value. The
// first of several equal keys is kept. Istio's own labels and ours go before all.
func instanceLabels(instance catalog.Instance, name Name, report *report) map[string]string {
	labels := map[string]string{}
	add := func(kind, key, value string) {
		subject := instance.ID.String()
		clean, ok := label(key, value)
		switch _, taken := labels[clean.key]; {
		case !ok:
			report.add(BadLabel, subject, fmt.Sprintf("%s %q can't be made a label; it is left out", kind, clip(key)))
		case reserved(clean.key):
			report.add(ReservedLabel, subject, fmt.Sprintf("%s %q is reserved; it is left out", kind, clip(key)))
		case taken:
		case len(labels) == maxLabels-ownLabels:
			report.add(BadLabel, subject, fmt.Sprintf("%s %q is one label too many; it is left out", kind, clip(key)))
		default:
			labels[clean.key] = clean.value
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(instance.Meta), validFirst) {
		if instance.Meta[key] != "" {
			add("meta", key, instance.Meta[key])
		}
	}
	for _, tag := range instance.Tags {
		if at := strings.IndexAny(tag, "=|"); at > 0 {
			add("tag", tag[:at], tag[at+1:])
		}
	}
	labels[appLabel] = name.Label
	labels[canonicalNameLabel] = name.Label
	labels[canonicalRevisionLabel] = noRevision
	if version := labels[versionLabel]; version != "" {
		labels[canonicalRevisionLabel] = version
	}
	maps.Copy(labels, identityLabels(name))
	return labels
}

// validFirst orders keys so that one that is valid as it stands comes before those that become the same.
func validFirst(a, b string) int {
	if validA, validB := cleanKey(a) == a, cleanKey(b) == b; validA != validB {
		if validA {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

type pair struct{ key, value string }

// label makes a label of a key and a value: what Kubernetes doesn't allow becomes a dash. It fails where nothing
// is left, or where more would be left than the 63 characters that a label may have: half a value is a wrong one.
func label(key, value string) (pair, bool) {
	clean := pair{key: cleanKey(key), value: cleanName(value)}
	ok := clean.value != "" &&
		len(validation.IsQualifiedName(clean.key)) == 0 && len(validation.IsValidLabelValue(clean.value)) == 0
	return clean, ok
}

func cleanKey(key string) string {
	domain, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		return cleanName(key)
	}
	return strings.ToLower(domain) + "/" + cleanName(name)
}

// cleanName replaces what neither a label's name nor its value may hold, and cuts it off at the ends.
func cleanName(text string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		default:
			return '-'
		}
	}, text), "-_.")
}

func reserved(key string) bool {
	if key == appLabel {
		return true
	}
	domain, _, prefixed := strings.Cut(key, "/")
	return prefixed && slices.ContainsFunc(reservedDomains, func(own string) bool { return UnderDomain(domain, own) })
}
