package object

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// FieldOwner is the field manager of isthmus: the API server records it for each field that isthmus applies.
const FieldOwner = "isthmus"

// IsOurs reports whether isthmus wrote an object. It relies on managedFields, which the API server keeps, because
// labels can be copied.
func IsOurs(live client.Object) bool { return applyEntry(live.GetManagedFields()) != nil }

// AppliedAt returns the time at which isthmus last changed an object, and the zero time if it never did.
func AppliedAt(live client.Object) time.Time {
	if entry := applyEntry(live.GetManagedFields()); entry != nil && entry.Time != nil {
		return entry.Time.Time
	}
	return time.Time{}
}

// StripManagedFields is a cache transform. It drops the field sets of managedFields, which fill half an object, and
// keeps the entry that says that isthmus applied the object.
func StripManagedFields(live any) (any, error) {
	accessor, err := meta.Accessor(live)
	if err != nil {
		return live, nil //nolint:nilerr // A tombstone is no object and has no managedFields.
	}
	var kept []metav1.ManagedFieldsEntry
	if entry := applyEntry(accessor.GetManagedFields()); entry != nil {
		kept = []metav1.ManagedFieldsEntry{{Manager: entry.Manager, Operation: entry.Operation, Time: entry.Time}}
	}
	accessor.SetManagedFields(kept)
	return live, nil
}

func applyEntry(entries []metav1.ManagedFieldsEntry) *metav1.ManagedFieldsEntry {
	for i, entry := range entries {
		if entry.Manager == FieldOwner && entry.Operation == metav1.ManagedFieldsOperationApply {
			return &entries[i]
		}
	}
	return nil
}
