// Package file writes the mesh's resources as YAML: to a stream, for a look at what would be written, or to a
// folder, for GitOps.
package file

import (
	"bytes"
	"fmt"

	"sigs.k8s.io/yaml"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const separator = "---\n"

// document returns an object as one YAML document, its separator first.
func document(object mesh.Object) ([]byte, error) {
	manifest, err := object.Manifest()
	if err != nil {
		return nil, err
	}
	body, err := yaml.Marshal(manifest)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s/%s: %w", object.Kind, object.Namespace, object.Name, err)
	}
	return append([]byte(separator), body...), nil
}

// documents returns objects as YAML documents, in their order.
func documents(objects []mesh.Object) ([]byte, error) {
	var out bytes.Buffer
	for _, object := range objects {
		doc, err := document(object)
		if err != nil {
			return nil, err
		}
		out.Write(doc)
	}
	return out.Bytes(), nil
}

// removal returns a document that says that an object is gone. It holds a comment only, so that a reader that
// applies what it is given passes over it.
func removal(object mesh.Object) []byte {
	return fmt.Appendf(nil, "%s# removed: %s %s/%s\n", separator, object.Kind, object.Namespace, object.Name)
}
