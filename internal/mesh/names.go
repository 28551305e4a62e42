package mesh

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

const (
	// maxLabel is the maximum length of a DNS label (RFC 1035) and of a Kubernetes label value, in bytes.
	maxLabel = 63
	// hashLength is the length of a service's hash in hexadecimal digits: 80 bits. Teams choose the names of their services,
	// and a collision of 48 bits can be found in hours.
	hashLength = 20
	// idHashLength is the length of the hash that distinguishes the instances of a service.
	idHashLength = 12
	// hashMark separates a name from its hash. A registered name that ends in this mark and a hash gets another hash, so that a
	// team cannot register the hashed name of another service.
	hashMark = "--"
	// fallbackName is the stem of a name without any letter or digit that DNS allows.
	fallbackName = "unnamed"
)

var (
	hashed       = regexp.MustCompile(hashMark + `[0-9a-f]{20}$`)
	instanceHash = regexp.MustCompile(`-[0-9a-f]{12}$`)
)

// Name identifies a service in the mesh. It is comparable and is the key of all outputs.
type Name struct {
	// Source is the name of the source, a DNS label.
	Source string
	// Label is the service's name as a DNS label. It is the first label of the service's hosts.
	Label string
	// Tag is set for the hosts of one of the service's tags, which have objects of their own. It is a DNS label.
	Tag string `json:",omitempty"`
}

// tagMark stands before the source in the names of the objects of a tag.
const tagMark = "tag"

// String returns "label.source", or "label.tagname.tag.source" for a tag.
func (n Name) String() string { return n.objectName(n.Label) }

// objectName returns the name of an object with the given first label. Labels contain no dots, so an object of a tag never
// has the name of an object of another service.
func (n Name) objectName(first string) string {
	if n.Tag == "" {
		return first + "." + n.Source
	}
	return first + "." + n.Tag + "." + tagMark + "." + n.Source
}

// OfTag returns the name of the hosts of one of the service's tags.
func (n Name) OfTag(tag string) Name { return Name{Source: n.Source, Label: n.Label, Tag: tag} }

// Service returns the name of the service without a tag.
func (n Name) Service() Name { return Name{Source: n.Source, Label: n.Label} }

// Compare orders names by source, then by label, then by tag.
func (n Name) Compare(other Name) int {
	return cmp.Or(cmp.Compare(n.Source, other.Source), cmp.Compare(n.Label, other.Label), cmp.Compare(n.Tag, other.Tag))
}

// ServiceEntry returns the name of the service's ServiceEntry.
func (n Name) ServiceEntry() string { return n.String() }

// WorkloadEntry returns the name of an instance's WorkloadEntry. It depends on the ID of the instance only.
func (n Name) WorkloadEntry(id catalog.InstanceID) string {
	id = id.Fold()
	hash := shortHash(idHashLength, id.Datacenter, id.Partition, id.Namespace, id.Node, id.ServiceID)
	return n.Label + "-" + hash + "." + n.Source
}

// DestinationRule returns the name of the DestinationRule of one of the service's hosts.
func (n Name) DestinationRule(host string) string {
	return n.objectName(n.Label + "-" + shortHash(idHashLength, host))
}

// ParseObjectName returns the name of the service, or of its tag, to which an object belongs; false if isthmus gives no object
// of that kind such a name. Labels contain no dots, so the result is unambiguous.
func ParseObjectName(kind Kind, object string) (Name, bool) {
	var name Name
	switch parts := strings.Split(object, "."); {
	case len(parts) == 2:
		name = Name{Label: parts[0], Source: parts[1]}
	case len(parts) == 4 && parts[2] == tagMark && isDNSLabel(parts[1]) && kind != WorkloadEntryKind:
		name = Name{Label: parts[0], Tag: parts[1], Source: parts[3]}
	}
	if kind != ServiceEntryKind {
		at := instanceHash.FindStringIndex(name.Label)
		if at == nil {
			return Name{}, false
		}
		name.Label = name.Label[:at[0]]
	}
	if !isDNSLabel(name.Label) || !isDNSLabel(name.Source) {
		return Name{}, false
	}
	return name, true
}

// preferredName returns the name of a service without a hash. It reports false if the service needs a hash even if no other
// service converts to the same label: the label is empty, too long, reserved for Consul, or looks like a hashed name.
func preferredName(key catalog.Key) (preferred Name, usable bool) {
	label := dnsLabel(strings.ToLower(key.Name))
	usable = label != "" && len(label) <= maxLabel && !hashed.MatchString(label) && label != consulLabel
	return Name{Source: key.Source, Label: label}, usable
}

// hashedName returns the name of a service with a hash. It does not depend on the case of the registered name.
func hashedName(key catalog.Key) Name {
	return Name{Source: key.Source, Label: withHash(dnsLabel(strings.ToLower(key.Name)), strings.ToLower(key.Name))}
}

// dnsLabel converts a name to a DNS label (RFC 1123) of any length: it converts to lower case, replaces invalid characters
// by dashes and trims dashes at both ends.
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

// withHash returns a label with a hash of the original name.
func withHash(label, original string) string {
	if label == "" {
		label = fallbackName
	}
	label = strings.TrimRight(label[:min(len(label), maxLabel-len(hashMark)-hashLength)], "-")
	return label + hashMark + shortHash(hashLength, original)
}

// shortHash returns the first hexadecimal digits of the SHA-256 of the parts.
func shortHash(length int, parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write([]byte(part))
		sum.Write([]byte{0})
	}
	return hex.EncodeToString(sum.Sum(nil))[:length]
}
