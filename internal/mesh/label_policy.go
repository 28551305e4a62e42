package mesh

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Labels says which meta entries and tags become labels, by globs of the labels' keys. Without it, all but the reserved.
type Labels struct {
	// Allow goes before Deny, and before what is reserved.
	Allow, Deny []string
}

// reservedDomains are the domains of label prefixes that give a workload identity, traffic or a meaning. Who
// may write to the registry must not be able to give these.
var reservedDomains = []string{"istio.io", "kubernetes.io", "k8s.io", "x-k8s.io", ownDomain}

// reservedKeys are globs of labels without a prefix that do the same: Istio's gateways and its locality, and what the
// Services of Kubernetes's own parts select by.
var reservedKeys = []string{appLabel, "istio", "istio-*", "k8s-app"}

// CheckLabelGlob tells what is wrong with an entry of Labels.
func CheckLabelGlob(glob string) error {
	domain, _, prefixed := strings.Cut(glob, "/")
	switch {
	case glob == "":
		return errors.New("it is empty; * stands for any label")
	case prefixed && strings.ToLower(domain) != domain:
		return fmt.Errorf("%q fits no label: prefixes are in lower case", glob)
	case own(glob):
		return fmt.Errorf("%q is a label that isthmus sets itself", glob)
	}
	return nil
}

// refuse tells why a label can't be had; empty where it can.
func (l Labels) refuse(key string) string {
	switch {
	case own(key):
		return "is a label that isthmus sets itself; it is left out"
	case catalog.MatchAny(l.Allow, key):
		return ""
	case catalog.MatchAny(l.Deny, key):
		return "is denied by mesh.labels.deny; it is left out (mesh.labels.allow goes before it)"
	case reserved(key):
		return fmt.Sprintf("is reserved; it is left out (mesh.labels.allow: [%q] admits it)", key)
	default:
		return ""
	}
}

func reserved(key string) bool {
	domain, _, prefixed := strings.Cut(key, "/")
	if !prefixed {
		return catalog.MatchAny(reservedKeys, key)
	}
	return slices.ContainsFunc(reservedDomains, func(own string) bool { return UnderDomain(domain, own) })
}

// own tells whether a label is one that isthmus sets itself, and nobody else.
func own(key string) bool {
	domain, _, _ := strings.Cut(key, "/")
	return key == appLabel || key == canonicalNameLabel || key == canonicalRevisionLabel || UnderDomain(domain, ownDomain)
}
