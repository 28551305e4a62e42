// Package file contains the outputs that write YAML: Stream, for a preview, and Folder, for GitOps.
package file

import (
	"bytes"
	"fmt"

	"sigs.k8s.io/yaml"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const separator = "---\n"

// document returns an object as one YAML document, with the separator before it.
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

// documents returns objects as YAML documents, in the same order.
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

// removal returns a document for a removed object. It contains only a comment, so that kubectl apply ignores it.
func removal(object mesh.Object) []byte {
	return fmt.Appendf(nil, "%s# removed: %s %s/%s\n", separator, object.Kind, object.Namespace, object.Name)
}
