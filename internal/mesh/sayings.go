package mesh

import (
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// key is what sayings calls an entry about a port.
func key(name, what string) string { return folding.Replace(name) + "_" + what }

// sayings are the meta entries and tags of the form key=value that may say something of a port, or that the instance
// speaks TLS, by their keys in small letters with underscores. Meta goes before tags; of several that are the same by
// that, the first in the alphabet goes before the others, and a tag before those behind it.
func sayings(instance catalog.Instance) map[string]string {
	var keys []string
	for key := range instance.Meta {
		if _, ok := saying(key); ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var said map[string]string
	note := func(key, value string) {
		folded, ok := saying(key)
		if _, known := said[folded]; !ok || known {
			return
		}
		if said == nil {
			said = map[string]string{}
		}
		said[folded] = value
	}
	for _, key := range keys {
		note(key, instance.Meta[key])
	}
	for _, tag := range instance.Tags[:min(len(instance.Tags), maxLooked)] {
		if at := strings.IndexAny(tag, "=|"); at > 0 {
			note(tag[:at], tag[at+1:])
		}
	}
	return said
}

// saying returns what sayings calls an entry; false for entries that say nothing of a port.
func saying(key string) (string, bool) {
	last := key[strings.LastIndexAny(key, "._-")+1:]
	if len(key) > maxRaw || !slices.ContainsFunc([]string{portKey, protocolMeta, secureKey}, func(k string) bool { return strings.EqualFold(last, k) }) {
		return "", false
	}
	return folding.Replace(strings.ToLower(key)), true
}

const (
	portKey = "port"
	// secureKey is the entry by which Spring Cloud says that an instance speaks HTTPS.
	secureKey = "secure"
)

var folding = strings.NewReplacer(".", "_", "-", "_")
