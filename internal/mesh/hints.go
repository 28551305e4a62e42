package mesh

import (
	"cmp"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// hintKey returns the normalized key of a hint about a port, for example grpc_port.
func hintKey(name, kind string) string { return hintSeparators.Replace(name) + "_" + kind }

// hintsOf returns the meta entries and the tags of the form key=value that may declare a port, a protocol or TLS, by their
// normalized keys: lower case with underscores. If several entries have the same normalized key, meta has precedence over
// tags; among meta the normalized key itself applies, then the first in alphabetical order, among tags the first. Entries
// without a value are ignored.
func hintsOf(instance catalog.Instance) map[string]string {
	var keys []string
	for key := range instance.Meta {
		if _, ok := normalizeHint(key); ok {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		exact := func(key string) int {
			if folded, _ := normalizeHint(key); folded == key {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(exact(a), exact(b)), cmp.Compare(a, b))
	})
	var hints map[string]string
	note := func(key, value string) {
		folded, ok := normalizeHint(key)
		if _, known := hints[folded]; !ok || known || value == "" {
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
	for _, tag := range instance.Tags[:min(len(instance.Tags), maxInspected)] {
		if at := strings.IndexAny(tag, "=|"); at > 0 {
			note(tag[:at], tag[at+1:])
		}
	}
	return hints
}

// normalizeHint returns the normalized key of an entry; false if the entry is not a hint.
func normalizeHint(key string) (string, bool) {
	if len(key) > maxRaw {
		return "", false
	}
	last := key[strings.LastIndexAny(key, "._-")+1:]
	suffix := slices.ContainsFunc([]string{portKey, protocolMeta, secureKey}, func(k string) bool { return strings.EqualFold(last, k) })
	if !suffix && !slices.ContainsFunc([]string{schemeKey, kindKey, grpcKey}, func(k string) bool { return strings.EqualFold(key, k) }) {
		return "", false
	}
	return hintSeparators.Replace(strings.ToLower(key)), true
}

const (
	portKey = "port"
	// protocolMeta is the key that declares the protocol. It has precedence over all other hints.
	protocolMeta = "protocol"
	// schemeKey is a key for the protocol in the words of URLs.
	schemeKey = "scheme"
	// kindKey is a key for the protocol that go-kratos and others use.
	kindKey = "kind"
	// grpcKey is a key that declares gRPC.
	grpcKey = "grpc"
	// secureKey is the key by which Spring Cloud declares that an instance speaks HTTPS.
	secureKey = "secure"
)

var hintSeparators = strings.NewReplacer(".", "_", "-", "_")
