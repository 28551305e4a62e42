package holdstatus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
)

const (
	heldReason     = "RemovalsHeld"
	releasedReason = "RemovalsReleased"
	// eventTimeout bounds the creation of one event.
	eventTimeout = 10 * time.Second
)

// eventsOf returns the events for the difference between two statuses. They are about the ConfigMap.
//
// client-go's event recorders (tools/record, tools/events) do not fit: they drop an event that the API server answers
// with an error, limit events by source and object, and need the permission to patch events.
func eventsOf(configMap *corev1.ConfigMap, before, after Status) []*corev1.Event {
	var events []*corev1.Event
	for _, source := range slices.Sorted(maps.Keys(after.Holds)) {
		hold := after.Holds[source]
		if !before.Holds[source].Since.Equal(hold.Since) {
			events = append(events, newEvent(configMap, corev1.EventTypeWarning, heldReason, fmt.Sprintf(
				"Holding the removal of %d instances (%d services) of source %s: %s%s. "+
					"To confirm the removal, run isthmus release %s, or annotate this ConfigMap with %s=%s",
				hold.Instances, hold.Services, source, hold.Reason, hold.OnNodes(), source, ReleaseAnnotation, source)))
		}
	}
	for _, source := range slices.Sorted(maps.Keys(before.Holds)) {
		if _, held := after.Holds[source]; !held {
			events = append(events, newEvent(configMap, corev1.EventTypeNormal, releasedReason, fmt.Sprintf(
				"Removals of source %s are no longer held", source)))
		}
	}
	return events
}

// newEvent returns an event with a fixed name, so that a retry does not create it twice.
func newEvent(configMap *corev1.ConfigMap, kind, reason, message string) *corev1.Event {
	now := metav1.Now()
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s.%s", configMap.Name, rand.String(10)), Namespace: configMap.Namespace,
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: "ConfigMap", Namespace: configMap.Namespace, Name: configMap.Name, UID: configMap.UID,
		},
		Type: kind, Reason: reason, Message: message,
		Source: corev1.EventSource{Component: object.FieldOwner}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
}

// createEvents creates the pending events in their order, and reports whether none is left. It gives up an event that
// the API server will never accept, because the log has the same information.
func (r *Reconciler) createEvents(ctx context.Context) (done bool) {
	for len(r.pendingEvents) > 0 {
		limited, cancel := context.WithTimeout(ctx, eventTimeout)
		err := r.options.Client.Create(limited, r.pendingEvents[0])
		cancel()
		if apierrors.IsAlreadyExists(err) {
			err = nil // An earlier try has created it.
		}
		switch {
		case err == nil:
			r.eventsFailing.End()
		case ctx.Err() == nil && r.eventsFailing.Begin():
			r.options.Log.Warn(MessageEventFailed, "reason", r.pendingEvents[0].Reason, "error", err)
		}
		if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
			return false
		}
		r.pendingEvents = r.pendingEvents[1:]
	}
	return true
}
