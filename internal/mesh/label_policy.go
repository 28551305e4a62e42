package mesh

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Labels restricts the meta entries and tags that become labels, by globs of the labels' keys. The first match decides:
//
//	labels of isthmus   rejected
//	Allow               accepted
//	Deny                rejected
//	reserved labels     rejected
//	any other           accepted
type Labels struct {
	// Allow lists accepted labels.
	Allow []string
	// Deny lists rejected labels.
	Deny []string
}

// reservedDomains are the prefixes of labels that determine identity, traffic or configuration. Teams that write to the
// registry must not be able to set them.
var reservedDomains = []string{"istio.io", "kubernetes.io", "k8s.io", "x-k8s.io", ownDomain}

// reservedKeys are globs of labels without a prefix that have such a meaning: Istio's gateways and its locality, and the
// labels by which Services of Kubernetes' own components select.
var reservedKeys = []string{appLabel, "istio", "istio-*", "k8s-app"}

// CheckLabelGlob returns an error if a glob cannot be an entry of Labels.
func CheckLabelGlob(glob string) error {
	domain, _, prefixed := strings.Cut(glob, "/")
	switch {
	case glob == "":
		return errors.New("the glob is empty; use * for any label")
	case prefixed && strings.ToLower(domain) != domain:
		return fmt.Errorf("%q matches no label: write the prefix in lower case", glob)
	case own(glob):
		return fmt.Errorf("%q is a label that isthmus sets; remove it", glob)
	}
	return nil
}

// denies reports whether the configuration rejects a label. That is the operator's decision and no finding.
func (l Labels) denies(key string) bool {
	return !own(key) && !catalog.MatchAny(l.Allow, key) && catalog.MatchAny(l.Deny, key)
}

// ignores reports whether an entry is no label and no finding, although the operator does not reject it. The key version and the
// keys in Allow are wanted as labels, so that they are never ignored.
//
//	a tag with a UUID                     different for each instance, so no subset can select it
//	a tag that is too long for a label    for readers and other programs, for example image=NAME@sha256:...
//	a URL                                 for other programs, for example dubbo://...
//
// A meta entry that is too long is a finding: unlike tags, meta entries are key and value by design.
func (l Labels) ignores(c candidate, isLabel bool) bool {
	isTag := c.kind == "tag"
	ignored := isTag && isUUID(c.value) ||
		!isLabel && (isTag && max(len(c.value), len(c.key)) > maxLabel || urlScheme.MatchString(c.value))
	if !ignored {
		return false
	}
	key := cleanKey(c.key[:min(len(c.key), maxRaw)])
	return key != versionLabel && !catalog.MatchAny(l.Allow, key)
}

// isUUID reports whether a value is a UUID.
func isUUID(value string) bool { return len(value) == 36 && uuid.MatchString(value) }

var (
	uuid      = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
	urlScheme = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]{0,31}://`)
)

// refuse returns the reason for which a label is rejected other than by the operator; empty if it is accepted.
func (l Labels) refuse(key string) string {
	switch {
	case own(key):
		return "is a label that isthmus sets; it is skipped"
	case catalog.MatchAny(l.Allow, key):
		return ""
	case reserved(key):
		return fmt.Sprintf("is reserved; it is skipped (to accept it, set mesh.labels.allow: [%q])", key)
	default:
		return ""
	}
}

// reserved reports whether a label is reserved.
func reserved(key string) bool {
	domain, _, prefixed := strings.Cut(key, "/")
	if !prefixed {
		return catalog.MatchAny(reservedKeys, key)
	}
	return slices.ContainsFunc(reservedDomains, func(own string) bool { return UnderDomain(domain, own) })
}

// own reports whether a label is one that only isthmus sets.
func own(key string) bool {
	domain, _, _ := strings.Cut(key, "/")
	return key == appLabel || key == canonicalNameLabel || key == canonicalRevisionLabel || UnderDomain(domain, ownDomain)
}
