package mesh

import (
	"maps"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Names assigns a unique name to each service of the catalog:
//
//	registered name                          name in the mesh
//	a DNS label, in any case                 the label in lower case
//	converts to a label that is free         the label
//	converts to a label of another service   the label with a hash of the registered name
//	too long, empty, or looks hashed         the same
//	converts to "consul"                     the same
//
// A service keeps its name as long as it exists, independent of services that are added or removed later. Restore continues
// with the names of an earlier run. Until Freeze, the first service by this order gets a label that several services
// convert to, so the result does not depend on the order of reports: a restored holder, a name that is the label itself,
// the first in alphabetical order.
//
// Names that differ in case only are one service. The zero value is ready to use. It is not safe for concurrent use.
type Names struct {
	// labels holds the state of each label.
	labels map[Name]*labelState
	// hashed holds the services, in lower case, that keep a hashed name.
	hashed map[catalog.Key]bool
	// frozen holds the sources whose services keep their names.
	frozen map[string]bool
}

// labelState is the state of one label.
type labelState struct {
	// services holds the keys of the services that convert to the label, by their names in lower case.
	services map[string]catalog.Key
	// holder is the name in lower case of the service that has the label; empty if none has it.
	holder string
	// restored is true if the holder has the label from an earlier run.
	restored bool
}

// Add adds a service, or replaces the case of its registered name. It returns the services whose names may have changed,
// including the added one.
func (n *Names) Add(key catalog.Key) []catalog.Key {
	preferred, usable := preferredName(key)
	if !usable {
		return []catalog.Key{key}
	}
	label := n.label(preferred)
	folded := key.Fold()
	_, known := label.services[folded.Name]
	label.services[folded.Name] = key
	if known {
		return []catalog.Key{key}
	}
	n.elect(preferred)
	if n.frozen[key.Source] && label.holder != folded.Name {
		n.keepHash(folded)
	}
	return label.keys()
}

// Remove removes a service and frees its name. It returns the other services whose names may have changed.
func (n *Names) Remove(key catalog.Key) []catalog.Key {
	preferred, _ := preferredName(key)
	label, folded := n.labels[preferred], key.Fold()
	if label == nil || label.services[folded.Name] == (catalog.Key{}) {
		return nil
	}
	delete(label.services, folded.Name)
	delete(n.hashed, folded)
	if label.holder == folded.Name {
		label.holder, label.restored = "", false
		n.elect(preferred)
	}
	if len(label.services) == 0 {
		delete(n.labels, preferred)
	}
	return label.keys()
}

// Of returns the name of a service that was added.
func (n *Names) Of(key catalog.Key) Name {
	preferred, usable := preferredName(key)
	if label := n.labels[preferred]; usable && label != nil && label.holder == key.Fold().Name {
		return preferred
	}
	return hashedName(key)
}

// Restore continues with the name that a service had in an earlier run or on another replica. The service may be added
// later. Restore ignores names that the service cannot have. It returns the services whose names may have changed.
func (n *Names) Restore(key catalog.Key, name Name) []catalog.Key {
	preferred, usable := preferredName(key)
	folded := key.Fold()
	switch {
	case !usable:
		return nil
	case name == preferred:
		label := n.label(preferred)
		if n.frozen[key.Source] && label.holder != "" && label.holder != folded.Name {
			n.keepHash(catalog.Key{Source: key.Source, Name: label.holder})
		}
		delete(n.hashed, folded)
		label.holder, label.restored = folded.Name, true
	case name == hashedName(key):
		n.keepHash(folded)
		if label := n.labels[preferred]; label != nil && label.holder == folded.Name {
			label.holder, label.restored = "", false
			n.elect(preferred)
		}
	default:
		return nil
	}
	if label := n.labels[preferred]; label != nil {
		return label.keys()
	}
	return nil
}

// Freeze fixes the names of a source's services, once its whole content is known. A restored service that the source did
// not report loses its name. Freeze returns the services whose names may have changed.
func (n *Names) Freeze(source string) (changed []catalog.Key) {
	if n.frozen[source] {
		return nil
	}
	if n.frozen == nil {
		n.frozen = map[string]bool{}
	}
	for name, label := range n.labels {
		if name.Source != source {
			continue
		}
		if label.services[label.holder] == (catalog.Key{}) {
			label.holder, label.restored = "", false
			n.elect(name)
			changed = append(changed, label.keys()...)
		}
		for folded, key := range label.services {
			if folded != label.holder {
				n.keepHash(key.Fold())
			}
		}
		if len(label.services) == 0 {
			delete(n.labels, name)
		}
	}
	n.frozen[source] = true
	slices.SortFunc(changed, catalog.Key.Compare)
	return changed
}

// elect gives a label to a service if none has it for certain.
func (n *Names) elect(name Name) {
	label := n.labels[name]
	if label.holder != "" && (label.restored || n.frozen[name.Source]) {
		return
	}
	label.holder = ""
	for _, folded := range slices.Sorted(maps.Keys(label.services)) {
		if n.hashed[catalog.Key{Source: name.Source, Name: folded}] {
			continue
		}
		if label.holder == "" || folded == name.Label {
			label.holder = folded
		}
	}
}

// keepHash records that a service keeps its hashed name.
func (n *Names) keepHash(folded catalog.Key) {
	if n.hashed == nil {
		n.hashed = map[catalog.Key]bool{}
	}
	n.hashed[folded] = true
}

// label returns the state of a label.
func (n *Names) label(name Name) *labelState {
	if n.labels[name] == nil {
		if n.labels == nil {
			n.labels = map[Name]*labelState{}
		}
		n.labels[name] = &labelState{services: map[string]catalog.Key{}}
	}
	return n.labels[name]
}

// keys returns the services that convert to the label, sorted.
func (l *labelState) keys() []catalog.Key {
	return slices.SortedFunc(maps.Values(l.services), catalog.Key.Compare)
}
