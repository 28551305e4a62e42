package conflict

import (
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// visibility is the set of namespaces that see an object, as Istio's exportTo defines it.
type visibility struct {
	namespace string
	exportTo  []string
}

// visibilityOf returns the visibility of a desired ServiceEntry.
func visibilityOf(desired mesh.Object) visibility {
	return visibility{desired.Namespace, desired.Spec.(*networking.ServiceEntry).ExportTo}
}

// public reports whether all namespaces see the object.
func (v visibility) public() bool { return len(v.exportTo) == 0 || slices.Contains(v.exportTo, "*") }

// hidden reports whether no namespace sees the object.
func (v visibility) hidden() bool { return slices.Contains(v.exportTo, "~") }

// in reports whether a namespace sees the object.
func (v visibility) in(namespace string) bool {
	return v.public() || slices.Contains(v.exportTo, namespace) ||
		namespace == v.namespace && slices.Contains(v.exportTo, ".")
}

// overlaps reports whether a namespace other than v's own may see both objects.
func (v visibility) overlaps(other visibility) bool {
	if v.hidden() || other.hidden() {
		return false
	}
	if v.public() && other.public() {
		return true
	}
	named := append(slices.Clone(v.exportTo), other.exportTo...)
	return slices.ContainsFunc(append(named, other.namespace), func(namespace string) bool {
		return namespace != "." && namespace != "*" && namespace != v.namespace && v.in(namespace) && other.in(namespace)
	})
}

// affectsHost reports whether the foreign object and our ServiceEntry conflict over a host that both have. The package
// comment has the table.
func (f Foreign) affectsHost(host string, ours visibility) bool {
	theirs := visibility{f.namespace, f.exportTo}
	switch {
	case f.kind == serviceKind && host == f.name:
		return ours.in(f.namespace)
	case f.kind == serviceKind:
		return !ours.hidden()
	case f.namespace == ours.namespace:
		return !ours.hidden() && !theirs.hidden()
	}
	return theirs.overlaps(ours)
}

// affectsAddress reports whether a namespace sees the addresses of both objects, including the foreign object's own
// namespace. An address has no owner by namespace, as a host has.
func (f Foreign) affectsAddress(ours visibility) bool {
	theirs := visibility{f.namespace, f.exportTo}
	if f.kind == serviceKind {
		theirs.exportTo = nil
	}
	return theirs.overlaps(ours) || theirs.in(f.namespace) && ours.in(f.namespace)
}
