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
	// maxLabels is how many labels an endpoint may have from the registry, as many as Consul allows a service's meta.
	// Istio's schema allows 256 with its own and ours.
	maxLabels = 64
	// maxLooked is how many meta entries, and how many tags, of an instance are looked at.
	maxLooked = 256
	// maxRaw bounds what is made a label, in bytes: longer ones would hardly become the 63 characters that fit.
	maxRaw = 1024
)

// instanceLabels are the labels of an endpoint: meta entries, then tags of the form key=value or key|value. The
// first of several equal keys is kept. Istio's own labels and ours go before all.
func instanceLabels(instance catalog.Instance, name Name, rules Labels, report *report) map[string]string {
	labels := map[string]string{}
	for c := range labelCandidates(instance, report) {
		clean, ok := label(c.key, c.value)
		_, taken := labels[clean.key]
		if !ok {
			report.instance(BadLabel, instance, fmt.Sprintf("%s %q can't be made a label; it is left out", c.kind, clip(c.key)))
		} else if refusal := rules.refuse(clean.key); refusal != "" {
			report.instance(ReservedLabel, instance, fmt.Sprintf("%s %q %s", c.kind, clip(c.key), refusal))
		} else if !taken && len(labels) == maxLabels {
			report.instance(TooManyLabels, instance, fmt.Sprintf(
				"an instance may have %d labels; %s %q and those behind it are left out", maxLabels, c.kind, clip(c.key),
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

// candidate is a label as the registry has it. Its kind is "meta" or "tag".
type candidate struct{ kind, key, value string }

// material yields what may become labels: the meta entries that have a value, then the tags of the form key=value or
// key|value, each with its kind.
func labelCandidates(instance catalog.Instance, report *report) iter.Seq[candidate] {
	return func(yield func(candidate) bool) {
		for _, key := range metaKeys(instance, report) {
			if value := instance.Meta[key]; value != "" && !yield(candidate{"meta", key, value}) {
				return
			}
		}
		for i, tag := range instance.Tags {
			if i == maxLooked {
				report.instance(TooManyLabels, instance, fmt.Sprintf("of its %d tags the first %d are looked at; the others are left out", len(instance.Tags), maxLooked))
				return
			}
			if at := strings.IndexAny(tag, "=|"); at > 0 && !yield(candidate{"tag", tag[:at], tag[at+1:]}) {
				return
			}
		}
	}
}

// metaKeys returns the keys of an instance's meta, those first that are valid as they stand: they go before those that
// become the same.
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
	if len(keys) > maxLooked {
		report.instance(TooManyLabels, instance, fmt.Sprintf("of its %d meta entries the first %d are looked at; the others are left out", len(keys), maxLooked))
		keys = keys[:maxLooked]
	}
	return keys
}

type pair struct{ key, value string }

// label makes a label of a key and a value: what Kubernetes doesn't allow becomes a dash. It fails where nothing
// is left, or where more would be left than the 63 characters that a label may have: half a value is a wrong one.
func label(key, value string) (pair, bool) {
	if len(key) > maxRaw || len(value) > maxRaw {
		return pair{}, false
	}
	clean := pair{key: cleanKey(key), value: cleanName(value)}
	return clean, fitsName(clean.value) && fitsKey(clean.key)
}

// fitsKey and fitsName tell whether what was cleaned is as Kubernetes has it (validation.IsQualifiedName,
// IsValidLabelValue), which takes ten times as long to say so.
func fitsKey(clean string) bool {
	domain, name, prefixed := strings.Cut(clean, "/")
	return prefixed && isHost(domain) && fitsName(name) || !prefixed && fitsName(clean)
}

func fitsName(clean string) bool { return clean != "" && len(clean) <= maxLabel }

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
