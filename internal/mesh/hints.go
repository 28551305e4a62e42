package mesh

import (
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// key is what sayings calls an entry about a port.
func hintKey(name, kind string) string { return hintSeparators.Replace(name) + "_" + kind }

// sayings are the meta entries and tags of the form key=value that may say something of a port, or that the instance
// speaks TLS, by their keys in small letters with underscores. Meta goes before tags; of several that are the same by
// that, the first in the alphabet goes before the others, and a tag before those behind it.
func hintsOf(instance catalog.Instance) map[string]string {
	var keys []string
	for key := range instance.Meta {
		if _, ok := normalizeHint(key); ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var hints map[string]string
	note := func(key, value string) {
		folded, ok := normalizeHint(key)
		if _, known := hints[folded]; !ok || known {
			return
		}
		if hints == nil {
			hints = map[string]string{}
		}
		hints[folded] = value
	}
	for _, key := range keys {
		note(key, instance.Meta[key])
	}
	for _, tag := range instance.Tags[:min(len(instance.Tags), maxLooked)] {
		if at := strings.IndexAny(tag, "=|"); at > 0 {
			note(tag[:at], tag[at+1:])
		}
	}
	return hints
}

// saying returns what sayings calls an entry; false for entries that say nothing of a port.
func normalizeHint(key string) (string, bool) {
	last := key[strings.LastIndexAny(key, "._-")+1:]
	if len(key) > maxRaw || !slices.ContainsFunc([]string{portKey, protocolMeta, secureKey}, func(k string) bool { return strings.EqualFold(last, k) }) {
		return "", false
	}
	return hintSeparators.Replace(strings.ToLower(key)), true
}

const (
	portKey = "port"
	// secureKey is the entry by which Spring Cloud says that an instance speaks HTTPS.
	secureKey = "secure"
)

var hintSeparators = strings.NewReplacer(".", "_", "-", "_")
