package mesh

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// RuleKeysAnnotation lists the keys of the labels and annotations that rules set on a ServiceEntry. If the list of the live
// object differs, the object is applied, which removes what no rule sets anymore. Labels and annotations of others stay.
const RuleKeysAnnotation = prefix + "rule-keys"

const (
	// maxRuleKeys is the maximum number of labels, and of annotations, of a rule.
	maxRuleKeys = 16
	// maxRuleAnnotation is the maximum length of an annotation of a rule in bytes.
	maxRuleAnnotation = 1024
)

// labelsOfIstio and annotationsOfIstio are keys that Istio reads on a ServiceEntry only as a label, or only as an annotation.
var (
	labelsOfIstio = []string{
		"istio.io/use-waypoint", "istio.io/use-waypoint-namespace", "istio.io/ingress-use-waypoint", "istio.io/global",
		"service.istio.io/canonical-name", "service.istio.io/canonical-revision",
	}
	annotationsOfIstio = []string{"networking.istio.io/traffic-distribution", "ambient.istio.io/redirection"}
)

// setRuleMetadata sets the labels and annotations of the rules on a ServiceEntry. For each key, the first rule that matches
// the service and sets the key applies. Nothing comes from the registry.
func (p Placement) setRuleMetadata(service catalog.Service, entry *Object) {
	labels, notes := map[string]string{}, map[string]string{}
	for _, rule := range slices.Backward(p.Rules) {
		if len(rule.Labels)+len(rule.Annotations) > 0 && rule.fits(service) {
			maps.Copy(labels, rule.Labels)
			maps.Copy(notes, rule.Annotations)
		}
	}
	if len(labels)+len(notes) == 0 {
		return
	}
	keys := slices.Concat(slices.Sorted(maps.Keys(labels)), slices.Sorted(maps.Keys(notes)))
	maps.Copy(entry.Labels, labels)
	maps.Copy(entry.Annotations, notes)
	entry.Annotations[RuleKeysAnnotation] = strings.Join(keys, ",")
}

// CheckRuleLabels returns an error if a rule cannot set these labels.
func CheckRuleLabels(labels map[string]string) error {
	if len(labels) > maxRuleKeys {
		return fmt.Errorf("%d labels, at most %d are allowed", len(labels), maxRuleKeys)
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if err := checkRuleKey(key); err != nil {
			return err
		}
		if slices.Contains(annotationsOfIstio, key) {
			return fmt.Errorf("%q is an annotation of Istio; move it to annotations", key)
		}
		if err := CheckLabelValue(labels[key]); err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
	}
	return nil
}

// CheckRuleAnnotations returns an error if a rule cannot set these annotations.
func CheckRuleAnnotations(annotations map[string]string) error {
	if len(annotations) > maxRuleKeys {
		return fmt.Errorf("%d annotations, at most %d are allowed", len(annotations), maxRuleKeys)
	}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if err := checkRuleKey(key); err != nil {
			return err
		}
		if slices.Contains(labelsOfIstio, key) {
			return fmt.Errorf("%q is a label of Istio; move it to labels", key)
		}
		if size := len(annotations[key]); size > maxRuleAnnotation {
			return fmt.Errorf("%q has %d bytes, at most %d are allowed", key, size, maxRuleAnnotation)
		}
	}
	return nil
}

// CheckLabelValue returns an error if a text cannot be the value of a label.
func CheckLabelValue(text string) error {
	if len(validation.IsValidLabelValue(text)) > 0 {
		return fmt.Errorf("%q is not a label value: at most 63 letters, digits, -, _ and ., which begin and end with a letter or digit", clip(text))
	}
	return nil
}

// checkRuleKey returns an error if the key of a label or annotation is not valid, or if isthmus or a client of Kubernetes
// sets it.
func checkRuleKey(key string) error {
	if key == "" {
		return errors.New("a key is empty")
	}
	if errs := validation.IsQualifiedName(key); len(errs) > 0 {
		return fmt.Errorf("%q is not a valid key: write NAME or DOMAIN/NAME", clip(key))
	}
	domain, _, _ := strings.Cut(key, "/")
	if key == ManagedByLabel || domain == ownDomain || strings.HasSuffix(domain, "."+ownDomain) || domain == "kubectl.kubernetes.io" {
		return fmt.Errorf("%q is reserved for isthmus or kubectl; remove it", key)
	}
	return nil
}
