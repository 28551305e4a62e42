package holdstatus

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// ReleaseAnnotation requests, on the ConfigMap, the release of the holds of the sources that it names, separated by
// commas. The leader removes it when the release is done.
const ReleaseAnnotation = "isthmus-mesh.github.io/release"

// StatusKey is the key of the ConfigMap's data that has the Status as JSON.
const StatusKey = "status"

// Status is the content of the ConfigMap.
type Status struct {
	// Holds are the holds in force, by source.
	Holds map[string]guard.Hold `json:"holds"`
	// Releases count the releases of each source. A replica that reads a higher count than before releases its own hold.
	// A time in place of a count would depend on the clocks of several machines.
	Releases map[string]int `json:"releases,omitempty"`
}

// StatusOf returns the Status in a ConfigMap. It is empty, never nil, if the ConfigMap has none.
func StatusOf(configMap *corev1.ConfigMap) (Status, error) {
	s := Status{Holds: map[string]guard.Hold{}, Releases: map[string]int{}}
	if text := configMap.Data[StatusKey]; text != "" {
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return s, fmt.Errorf("parse key %s of ConfigMap %s/%s: %w; delete the ConfigMap, isthmus writes it again",
				StatusKey, configMap.Namespace, configMap.Name, err)
		}
	}
	if s.Holds == nil {
		s.Holds = map[string]guard.Hold{}
	}
	if s.Releases == nil {
		s.Releases = map[string]int{}
	}
	return s, nil
}

func (s Status) text() (string, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	return string(text), err
}

// covers reports whether the status has a hold of every source that holds has.
func (s Status) covers(holds map[string]guard.Hold) bool {
	for source := range holds {
		if _, ok := s.Holds[source]; !ok {
			return false
		}
	}
	return true
}

// requestedSources returns the sources that the annotation of a ConfigMap asks to release.
func requestedSources(configMap *corev1.ConfigMap) []string {
	return strings.FieldsFunc(configMap.Annotations[ReleaseAnnotation], func(r rune) bool { return r == ',' || r == ' ' })
}
