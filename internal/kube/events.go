package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// holdEvent is something to tell who looks at the namespace's events.
type holdEvent struct{ kind, reason, message string }

// changes are the events that lie between two statuses.
func changes(before, after status) []holdEvent {
	var events []holdEvent
	for _, source := range slices.Sorted(maps.Keys(after.Holds)) {
		hold := after.Holds[source]
		if !before.Holds[source].Since.Equal(hold.Since) {
			events = append(events, holdEvent{corev1.EventTypeWarning, "RemovalsHeld", fmt.Sprintf(
				"source %s: %d instances are kept in the mesh, though it doesn't report them as serving, and with them %d services: %s. "+
					"If it is meant: isthmus release %s, or annotate this ConfigMap with %s=%s",
				source, hold.Instances, hold.Services, hold.Reason, source, ReleaseAnnotation, source)})
		}
	}
	for _, source := range slices.Sorted(maps.Keys(before.Holds)) {
		if _, held := after.Holds[source]; !held {
			events = append(events, holdEvent{corev1.EventTypeNormal, "RemovalsReleased", fmt.Sprintf(
				"source %s: removals are no longer held", source)})
		}
	}
	return events
}

// tell makes an event about the ConfigMap. Where that isn't allowed, the log has said it already.
func (m *Memory) tell(ctx context.Context, about *corev1.ConfigMap, e holdEvent) {
	now := metav1.Now()
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: about.Name + "-", Namespace: about.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: "ConfigMap", Namespace: about.Namespace, Name: about.Name, UID: about.UID,
		},
		Type: e.kind, Reason: e.reason, Message: e.message,
		Source: corev1.EventSource{Component: FieldOwner}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	if err := m.output.client.Create(ctx, event); err != nil && ctx.Err() == nil {
		m.output.log.Warn("a Kubernetes event can't be made", "event", e.reason, "error", err)
	}
}
