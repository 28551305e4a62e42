package kube

import (
	"context"
	"errors"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A service moves between the forms of endpoints without a moment without endpoints:
//
//	to inline           the ServiceEntry with its endpoints, then the WorkloadEntries are deleted
//	to WorkloadEntries  all WorkloadEntries, then the ServiceEntry that selects them
//
// The ServiceEntry keeps its earlier form until all WorkloadEntries are written.

// losesInlineEndpoints reports whether the desired ServiceEntry selects WorkloadEntries while the live one has inline
// endpoints.
func (w *writer) losesInlineEndpoints(wanted mesh.Object) bool {
	live, ok := w.live[object.KeyOf(wanted)].(*networkingv1.ServiceEntry)
	return ok && wanted.SelectsWorkloads() && object.IsOurs(live) && len(live.Spec.Endpoints) > 0
}

// formWaits reports whether the service keeps the objects of its earlier form because a source has not reported its
// instances yet: the WorkloadEntries of these instances are not selected by a ServiceEntry with inline endpoints.
func (w *writer) formWaits(wanted mesh.Object) bool {
	if len(w.pendingSources) == 0 || wanted.SelectsWorkloads() {
		return false
	}
	for _, live := range w.live {
		if _, workload := live.(*networkingv1.WorkloadEntry); workload && w.isSourcePending(live) {
			return true
		}
	}
	return false
}

// applyWorkloads applies the WorkloadEntries among the desired objects.
func (w *writer) applyWorkloads(ctx context.Context, desired []mesh.Object) error {
	var errs []error
	for _, wanted := range desired {
		if wanted.Kind == mesh.WorkloadEntryKind {
			errs = append(errs, w.applyIfChanged(ctx, wanted, w.live[object.KeyOf(wanted)]))
		}
	}
	return errors.Join(errs...)
}

// mayBeSelected reports whether the live ServiceEntry may still select a WorkloadEntry, because the desired one, which does
// not, could not be written.
func (w *writer) mayBeSelected(live client.Object, wanted mesh.Object) bool {
	_, workload := live.(*networkingv1.WorkloadEntry)
	return workload && !wanted.SelectsWorkloads()
}
