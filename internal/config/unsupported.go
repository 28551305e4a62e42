package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// unsupported maps entries of a source that a reader may expect to the reason why there are none, and to the alternative.
var unsupported = map[string]string{
	"namespace": "namespaces of Consul Enterprise are not supported; isthmus reads the default namespace of the token",
	"partition": "admin partitions of Consul Enterprise are not supported; isthmus reads the partition of the agent",
	"peer":      "services that are imported from a cluster peer are not supported; add the Consul of the peer as a source of its own",
}

// checkUnsupported returns an error for the first entry of a source that names a feature without support, or if the source
// has no entries.
func checkUnsupported(source []byte) error {
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(source, &entries); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if reason, ok := unsupported[strings.TrimSuffix(strings.ToLower(key), "s")]; ok {
			return fmt.Errorf("sources: entry %q: %s (docs/compatibility.md)", key, reason)
		}
	}
	return nil
}
