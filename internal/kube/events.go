package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
)

// changes are the events that lie between two statuses, about the ConfigMap that says them.
func changes(about *corev1.ConfigMap, before, after status) []*corev1.Event {
	var events []*corev1.Event
	for _, source := range slices.Sorted(maps.Keys(after.Holds)) {
		hold := after.Holds[source]
		if !before.Holds[source].Since.Equal(hold.Since) {
			events = append(events, eventOf(about, corev1.EventTypeWarning, "RemovalsHeld", fmt.Sprintf(
				"source %s: %d instances are kept in the mesh, though it doesn't report them as serving, and with them %d services: %s. "+
					"If it is meant: isthmus release %s, or annotate this ConfigMap with %s=%s",
				source, hold.Instances, hold.Services, hold.Reason, source, ReleaseAnnotation, source)))
		}
	}
	for _, source := range slices.Sorted(maps.Keys(before.Holds)) {
		if _, held := after.Holds[source]; !held {
			events = append(events, eventOf(about, corev1.EventTypeNormal, "RemovalsReleased", fmt.Sprintf(
				"source %s: removals are no longer held", source)))
		}
	}
	return events
}

// eventOf makes an event for who looks at the namespace's. It has its name from the start, so that trying again doesn't
// tell it twice.
func eventOf(about *corev1.ConfigMap, kind, reason, message string) *corev1.Event {
	now := metav1.Now()
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.%s", about.Name, rand.String(10)), Namespace: about.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: "ConfigMap", Namespace: about.Namespace, Name: about.Name, UID: about.UID,
		},
		Type: kind, Reason: reason, Message: message,
		Source: corev1.EventSource{Component: FieldOwner}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
}

// tell makes the events that were not told yet, in their order. It returns whether all are; those that the API server will
// never take are given up, as the log has said the same.
func (m *Memory) tell(ctx context.Context) (all bool) {
	for len(m.untold) > 0 {
		limited, cancel := context.WithTimeout(ctx, writeTimeout)
		err := m.output.client.Create(limited, m.untold[0])
		cancel()
		if apierrors.IsAlreadyExists(err) {
			err = nil // an earlier try came through
		}
		if err != nil && ctx.Err() == nil && !m.silent {
			m.output.log.Warn("a Kubernetes event can't be made", "event", m.untold[0].Reason, "error", err)
		}
		m.silent = err != nil
		if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
			return false
		}
		m.untold = m.untold[1:]
	}
	return true
}
