package meshtest

import (
	"bytes"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Render returns the manifests of a service's objects and the findings as YAML, for golden files.
func Render(t testing.TB, resources mesh.Resources, findings []mesh.Finding) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, object := range Objects(resources) {
		manifest, err := object.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		out.Write(toYAML(t, manifest))
		out.WriteString("---\n")
	}
	list := []map[string]any{}
	for _, f := range findings {
		finding := map[string]any{"reason": string(f.Reason)}
		if f.Count != 1 {
			finding["count"] = f.Count
		}
		var examples []map[string]any
		for _, e := range f.Examples {
			example := map[string]any{"detail": e.Detail}
			if len(e.Subjects) > 0 {
				example["subjects"] = e.Subjects
			}
			if e.Count != 1 {
				example["count"] = e.Count
			}
			examples = append(examples, example)
		}
		finding["examples"] = examples
		list = append(list, finding)
	}
	out.Write(toYAML(t, map[string]any{"findings": list}))
	return out.Bytes()
}

// Objects returns all objects of a service, those of its tags last.
func Objects(resources mesh.Resources) []mesh.Object {
	objects := slices.Clone(resources.Objects)
	for _, host := range resources.TagHosts {
		objects = append(objects, host.Objects...)
	}
	return objects
}

// toYAML encodes a value as YAML.
func toYAML(t testing.TB, value any) []byte {
	t.Helper()
	text, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
