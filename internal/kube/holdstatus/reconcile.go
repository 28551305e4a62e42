package holdstatus

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Reconcile calls release for the holds that the ConfigMap asks to release, and, on the leader, publishes the holds. Run
// calls it; only tests call it directly.
func (r *Reconciler) Reconcile(ctx context.Context, release func(source string)) error {
	found, published, err := r.read(ctx)
	if err != nil {
		return err
	}
	holds, edition := r.current()
	if holds == nil {
		return nil // The holds are not restored yet.
	}
	r.correlate(published, holds)
	waiting := r.applyRemoteReleases(published, holds, release)
	term := r.options.LeaderContext()
	r.startTerm(term)
	if term == nil {
		return nil
	}
	requested := requestedSources(found)
	if r.applyRequests(requested, holds, release) || waiting {
		return nil // Set wakes the Reconciler when the release is done.
	}
	if edition == r.publishedEdition && len(requested) == 0 && published.covers(holds) {
		return nil // Another replica in the leading role counts differently.
	}
	// A write ends when this replica no longer leads; the next term begins with a comparison.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(term, cancel)()
	next := r.next(published, holds, requested)
	err = r.write(ctx, found, published, next)
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		r.markPublished(next, holds, edition)
	}
	return err
}

// startTerm resets the state of the previous term when the term has changed.
func (r *Reconciler) startTerm(term context.Context) {
	if term != r.term || r.pendingReleases == nil {
		r.term, r.pendingReleases, r.publishedEdition = term, map[string]time.Time{}, noEdition
	}
}

// correlate maps each published hold to the hold of the same source on this replica: replicas detect a hold at slightly
// different times.
func (r *Reconciler) correlate(published Status, holds map[string]guard.Hold) {
	maps.DeleteFunc(r.starts, func(source string, _ starts) bool {
		_, ok := published.Holds[source]
		return !ok
	})
	for source, theirs := range published.Holds {
		if ours, held := holds[source]; held && !r.starts[source].published.Equal(theirs.Since) {
			r.starts[source] = starts{local: ours.Since, published: theirs.Since}
		}
	}
}

// next returns the status to publish. A hold that is published already keeps its start and reason, so that two replicas
// do not overwrite each other.
func (r *Reconciler) next(published Status, holds map[string]guard.Hold, requested []string) Status {
	next := Status{Holds: maps.Clone(holds), Releases: map[string]int{}}
	for source, hold := range next.Holds {
		before, ok := published.Holds[source]
		if ok && r.starts[source].local.Equal(hold.Since) && !before.Since.Equal(hold.Since) {
			hold.Since, hold.Reason = before.Since, before.Reason
			next.Holds[source] = hold
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, source := range r.options.Sources {
		count := r.released[source] // The count survives the deletion of the ConfigMap.
		if slices.Contains(requested, source) {
			count++
		}
		if count > 0 {
			next.Releases[source] = count
		}
	}
	return next
}

// markPublished notes the status that this replica has written.
func (r *Reconciler) markPublished(now Status, holds map[string]guard.Hold, edition int) {
	r.mu.Lock()
	r.released = maps.Clone(now.Releases)
	r.mu.Unlock()
	r.publishedEdition = edition
	for source, hold := range now.Holds {
		r.starts[source] = starts{local: holds[source].Since, published: hold.Since}
	}
}

// write writes the ConfigMap if its status or annotation changes, and queues the events for the difference.
func (r *Reconciler) write(ctx context.Context, found *corev1.ConfigMap, published, next Status) error {
	before, err := published.text()
	if err != nil {
		return err
	}
	text, err := next.text()
	if err != nil || text == before && len(requestedSources(found)) == 0 {
		return err
	}
	ctx, cancel := r.options.WriteContext(ctx)
	defer cancel()
	wanted := found.DeepCopy()
	wanted.Data = map[string]string{StatusKey: text}
	delete(wanted.Annotations, ReleaseAnnotation)
	if found.Name == "" {
		wanted.Namespace, wanted.Name = r.options.ConfigMap.Namespace, r.options.ConfigMap.Name
		wanted.Labels = map[string]string{mesh.ManagedByLabel: mesh.ManagedBy}
		err = r.options.Client.Create(ctx, wanted, client.FieldOwner(object.FieldOwner))
		r.options.CountWrite("create", err)
	} else {
		// The update names the resource version, so it does not overwrite a request that came meanwhile.
		err = r.options.Client.Update(ctx, wanted, client.FieldOwner(object.FieldOwner))
		r.options.CountWrite("update", err)
	}
	if err != nil {
		return err
	}
	r.pendingEvents = append(r.pendingEvents, eventsOf(wanted, published, next)...)
	return nil
}
