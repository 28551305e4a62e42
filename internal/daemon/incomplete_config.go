package daemon

import (
	"bytes"
	"errors"
	"fmt"

	"sigs.k8s.io/yaml"
)

// documentEnd is YAML's marker for the end of a document.
const documentEnd = "..."

// checkComplete returns an error if a changed configuration file may be the first part of a file that is still being
// written, or whose writer failed. A part of a YAML file can be valid, and then the missing entries have their defaults:
// services that were excluded appear in the mesh.
//
//	the file was replaced (rename, ConfigMap)            complete
//	the new content ends with the document end marker    complete
//	only the running content ends with the marker        incomplete
//	fewer than half of the running entries               incomplete
//	else                                                 complete
func checkComplete(running, newest []byte, replaced bool) error {
	if replaced || hasDocumentEnd(newest) {
		return nil
	}
	if hasDocumentEnd(running) {
		return errors.New(`the file no longer ends with a line "...", so it may be incomplete; add the line, or replace the file by a rename`)
	}
	before, after := countEntries(running), countEntries(newest)
	if 2*after < before {
		return fmt.Errorf("the file was written in place and has %d of %d entries left, so it may be incomplete; "+
			`to confirm, end it with a line "...", replace it by a rename, or restart`, after, before)
	}
	return nil
}

// hasDocumentEnd reports whether the last line is the document end marker.
func hasDocumentEnd(content []byte) bool {
	content = bytes.TrimSpace(content)
	return bytes.Equal(content[bytes.LastIndexByte(content, '\n')+1:], []byte(documentEnd))
}

// countEntries returns the number of values in a YAML document, 0 if it is invalid.
func countEntries(content []byte) int {
	var document any
	if yaml.Unmarshal(content, &document) != nil {
		return 0
	}
	return countValues(document)
}

func countValues(value any) int {
	count := 0
	switch value := value.(type) {
	case nil:
	case map[string]any:
		for _, entry := range value {
			count += countValues(entry)
		}
	case []any:
		for _, entry := range value {
			count += countValues(entry)
		}
	default:
		count = 1
	}
	return count
}
