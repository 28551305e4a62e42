package mesh

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

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
	// maxLabels is the maximum number of labels from the registry on an endpoint, which is the maximum number of meta entries
	// in Consul. Istio's schema allows 256, including its own labels and those of isthmus.
	maxLabels = 64
	// maxInspected is the maximum number of meta entries, and of tags, of an instance that are inspected.
	maxInspected = 256
	// maxRaw is the maximum length of a key or a value in bytes. Longer ones would hardly fit into 63 characters.
	maxRaw = 1024
)

// instanceLabels returns the labels of an endpoint. If several entries have the same key, the first applies:
//
//  1. labels of Istio and isthmus
//  2. meta entries, first those with a valid key, in alphabetical order
//  3. tags of the form key=value or key|value, in the order of their registration
//  4. bare tags: the label tag.NAME with the value true
func instanceLabels(instance catalog.Instance, name Name, rules Labels, report *report) map[string]string {
	labels := map[string]string{}
	for c := range labelCandidates(instance, report) {
		clean, ok := label(c.key, c.value)
		_, taken := labels[clean.key]
		if rules.denies(clean.key) || rules.ignores(c, ok) {
			continue
		}
		if !ok {
			report.instance(BadLabel, instance, fmt.Sprintf("%s %q cannot be converted to a label; it is skipped", c.kind, clip(c.key)))
		} else if refusal := rules.refuse(clean.key); refusal != "" && isLocalityKey(c.key) {
			continue // it is the locality
		} else if refusal != "" {
			report.instance(ReservedLabel, instance, fmt.Sprintf("%s %q %s", c.kind, clip(c.key), refusal))
		} else if !taken && len(labels) == maxLabels {
			report.instance(TooManyLabels, instance, fmt.Sprintf(
				"the limit is %d labels for each instance; %s %q and the following ones are skipped", maxLabels, c.kind, clip(c.key),
			))
			break
		} else if !taken {
			labels[clean.key] = clean.value
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

// candidate is a label in the form of the registry. Its kind is "meta" or "tag".
type candidate struct{ kind, key, value string }

// labelCandidates yields the entries that may become labels: meta entries with a value, then tags of the form key=value or
// key|value, then the first bare tags. It omits values that are empty or placeholders of a build, and the configuration of
// routers.
func labelCandidates(instance catalog.Instance, report *report) iter.Seq[candidate] {
	return func(yield func(candidate) bool) {
		for _, key := range metaKeys(instance, report) {
			if value := instance.Meta[key]; value != "" && !isPlaceholder(value) && !yield(candidate{"meta", key, value}) {
				return
			}
		}
		for i, tag := range instance.Tags {
			if i == maxInspected {
				report.instance(TooManyLabels, instance, fmt.Sprintf("the instance has %d tags, the limit is %d; the following ones are skipped", len(instance.Tags), maxInspected))
				return
			}
			at := strings.IndexAny(tag, "=|")
			if at <= 0 || at == len(tag)-1 || isPlaceholder(tag[at+1:]) || isRouterTag(tag) {
				continue
			}
			if !yield(candidate{"tag", tag[:at], tag[at+1:]}) {
				return
			}
		}
		for _, tag := range bareTags(instance) {
			if !yield(candidate{"tag", bareTagPrefix + tag, "true"}) {
				return
			}
		}
	}
}

// metaKeys returns the keys of an instance's meta. Keys that are valid labels come first and so have precedence over keys
// that become equal to them.
func metaKeys(instance catalog.Instance, report *report) []string {
	var valid, others []string
	for key := range instance.Meta {
		if len(key) <= maxRaw && cleanKey(key) == key {
			valid = append(valid, key)
		} else {
			others = append(others, key)
		}
	}
	slices.Sort(valid)
	slices.Sort(others)
	keys := append(valid, others...)
	if len(keys) > maxInspected {
		report.instance(TooManyLabels, instance, fmt.Sprintf("the instance has %d meta entries, the limit is %d; the following ones are skipped", len(keys), maxInspected))
		keys = keys[:maxInspected]
	}
	return keys
}

// pair is a label.
type pair struct{ key, value string }

// label converts a key and a value to a label. It replaces invalid characters by dashes. It fails if nothing is left, or if
// more than 63 characters are left: a truncated value would be wrong.
func label(key, value string) (pair, bool) {
	if len(key) > maxRaw || len(value) > maxRaw {
		return pair{}, false
	}
	clean := pair{key: cleanKey(key), value: cleanName(value)}
	return clean, fitsName(clean.value) && fitsKey(clean.key)
}

// fitsKey reports whether a cleaned key is valid. Kubernetes' IsQualifiedName takes ten times as long.
func fitsKey(clean string) bool {
	domain, name, prefixed := strings.Cut(clean, "/")
	return prefixed && isHost(domain) && fitsName(name) || !prefixed && fitsName(clean)
}

// fitsName reports whether a cleaned name or value is valid. Kubernetes' IsValidLabelValue takes ten times as long.
func fitsName(clean string) bool { return clean != "" && len(clean) <= maxLabel }

// cleanKey replaces the characters of a key that Kubernetes does not allow.
func cleanKey(key string) string {
	domain, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		return cleanName(key)
	}
	return strings.ToLower(domain) + "/" + cleanName(name)
}

// cleanName replaces characters that a label's name and value cannot have by dashes, and trims them at both ends.
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
