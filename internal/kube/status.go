package kube

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// ReleaseAnnotation asks, on the ConfigMap of the holds, to release what is held of the sources that it names, parted by
// commas. It is taken away once that is done.
const ReleaseAnnotation = "isthmus-mesh.github.io/release"

const statusKey = "status"

// status is what the ConfigMap says.
type status struct {
	// Holds are those in force, by source.
	Holds map[string]guard.Hold `json:"holds"`
	// Releases count how often somebody released each source: other replicas than the one that did it let go when the
	// count grows. Times would be those of several clocks.
	Releases map[string]int `json:"releases,omitempty"`
}

func statusOf(c *corev1.ConfigMap) (status, error) {
	s := status{Holds: map[string]guard.Hold{}, Releases: map[string]int{}}
	if text := c.Data[statusKey]; text != "" {
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return s, fmt.Errorf("ConfigMap %s/%s: %s is not what isthmus writes; delete the ConfigMap: %w", c.Namespace, c.Name, statusKey, err)
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

func (s status) text() (string, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	return string(text), err
}

// requests are the sources that somebody wants to be released.
func requests(c *corev1.ConfigMap) []string {
	return strings.FieldsFunc(c.Annotations[ReleaseAnnotation], func(r rune) bool { return r == ',' || r == ' ' })
}

// tells says whether a status tells of all holds.
func (s status) tells(holds map[string]guard.Hold) bool {
	for source := range holds {
		if _, ok := s.Holds[source]; !ok {
			return false
		}
	}
	return true
}
