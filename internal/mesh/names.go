package mesh

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

const (
	// maxLabel is the longest DNS label (RFC 1035) and Kubernetes label value, in bytes.
	maxLabel = 63
	// hashLength is the length of the hash that tells services apart, in hexadecimal digits: 80 bits. Who registers a
	// service may choose its name, and 48 bits can be tried out in hours.
	hashLength = 20
	// idHashLength is the length of the hash that tells the instances of a service apart.
	idHashLength = 12
	// hashMark parts a name from its hash. No name of a registry is taken as it is when it ends in this mark
	// and a hash, so nobody can register another service's hashed name.
	hashMark = "--"
	// fallbackName is the stem of a name that has no letter or digit that DNS knows.
	fallbackName = "unnamed"
)

var (
	hashed       = regexp.MustCompile(hashMark + `[0-9a-f]{20}$`)
	instanceHash = regexp.MustCompile(`-[0-9a-f]{12}$`)
)

// Name is what a service is called in the mesh. It is comparable, and keys the work of every output.
type Name struct {
	// Source is the name of the registry, a DNS label.
	Source string
	// Label is the service's name as a DNS label: the first label of its hosts.
	Label string
}

// String returns "label.source".
func (n Name) String() string { return n.Label + "." + n.Source }

// Compare orders names by source, then by label.
func (n Name) Compare(other Name) int {
	return cmp.Or(cmp.Compare(n.Source, other.Source), cmp.Compare(n.Label, other.Label))
}

// ServiceEntry returns the name of the service's ServiceEntry.
func (n Name) ServiceEntry() string { return n.String() }

// WorkloadEntry returns the name of an instance's WorkloadEntry. It depends on the instance's identity alone.
func (n Name) WorkloadEntry(id catalog.InstanceID) string {
	id = id.Fold()
	hash := shortHash(idHashLength, id.Datacenter, id.Partition, id.Namespace, id.Node, id.ServiceID)
	return n.Label + "-" + hash + "." + n.Source
}

// DestinationRule returns the name of the DestinationRule of one of the service's hosts.
func (n Name) DestinationRule(host string) string {
	return n.Label + "-" + shortHash(idHashLength, host) + "." + n.Source
}

// ParseObjectName returns the name of the service that an object of ours was written for; false where
// no object of that kind can have the name. A dot can't stand in a label, so nothing is ambiguous.
func ParseObjectName(kind Kind, object string) (Name, bool) {
	label, source, found := strings.Cut(object, ".")
	if kind != ServiceEntryKind {
		at := instanceHash.FindStringIndex(label)
		if at == nil {
			return Name{}, false
		}
		label = label[:at[0]]
	}
	if !found || !isDNSLabel(label) || !isDNSLabel(source) {
		return Name{}, false
	}
	return Name{Source: source, Label: label}, true
}

// Names gives every service of the catalog a name of its own. A service whose name is a DNS label keeps it,
// whoever else would like it. Another name is made a label; where more than one service would get the same,
// each of them gets a hash of its own name behind it, so that none takes another's traffic.
//
// The outcome depends on the set of services alone, not on the order in which they came.
type Names struct {
	services map[Name][]string
}

// Add enters a service. It returns the services whose name may have changed by that, the added one among them.
func (n *Names) Add(key catalog.Key) []catalog.Key {
	preferred, plain := preferredName(key)
	if !plain {
		return []catalog.Key{key}
	}
	at, found := slices.BinarySearch(n.services[preferred], key.Name)
	if found {
		return []catalog.Key{key}
	}
	if n.services == nil {
		n.services = map[Name][]string{}
	}
	n.services[preferred] = slices.Insert(n.services[preferred], at, key.Name)
	return n.keysOf(preferred)
}

// Remove takes a service out. It returns the other services whose name may have changed by that.
func (n *Names) Remove(key catalog.Key) []catalog.Key {
	preferred, _ := preferredName(key)
	at, found := slices.BinarySearch(n.services[preferred], key.Name)
	if !found {
		return nil
	}
	n.services[preferred] = slices.Delete(n.services[preferred], at, at+1)
	if len(n.services[preferred]) == 0 {
		delete(n.services, preferred)
	}
	return n.keysOf(preferred)
}

// Of returns the name of a service that was added.
func (n *Names) Of(key catalog.Key) Name {
	preferred, plain := preferredName(key)
	if plain && (preferred.Label == key.Name || len(n.services[preferred]) == 1) {
		return preferred
	}
	return Name{Source: key.Source, Label: withHash(preferred.Label, key.Name)}
}

func (n *Names) keysOf(preferred Name) []catalog.Key {
	keys := make([]catalog.Key, 0, len(n.services[preferred]))
	for _, name := range n.services[preferred] {
		keys = append(keys, catalog.Key{Source: preferred.Source, Name: name})
	}
	return keys
}

// preferredName is the name that a service would like, and whether it can have it without a hash if it is alone:
// not where nothing of the name is left, where it is too long, or where it looks like a hashed one.
func preferredName(key catalog.Key) (preferred Name, plain bool) {
	label := dnsLabel(key.Name)
	plain = label != "" && len(label) <= maxLabel && !hashed.MatchString(label)
	return Name{Source: key.Source, Label: label}, plain
}

// dnsLabel makes a name a DNS label (RFC 1123) of any length: lower case, everything else that DNS doesn't
// know a dash, no dash at the ends.
func dnsLabel(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		default:
			return '-'
		}
	}, name), "-")
}

func withHash(label, original string) string {
	if label == "" {
		label = fallbackName
	}
	label = strings.TrimRight(label[:min(len(label), maxLabel-len(hashMark)-hashLength)], "-")
	return label + hashMark + shortHash(hashLength, original)
}

// shortHash is the beginning of the SHA-256 of its parts, in hexadecimal digits.
func shortHash(length int, parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write([]byte(part))
		sum.Write([]byte{0})
	}
	return hex.EncodeToString(sum.Sum(nil))[:length]
}
