package holdstatus

import (
	"maps"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// applyRemoteReleases releases the holds that another replica has published as released. It reports whether there were
// any.
func (r *Reconciler) applyRemoteReleases(published Status, holds map[string]guard.Hold, release func(source string)) (some bool) {
	for source, count := range published.Releases {
		if !r.learnReleases(source, count) {
			continue
		}
		hold, held := holds[source]
		if _, pending := r.pendingReleases[source]; held && !pending && !hold.Released {
			release(source)
			some = true
		}
		delete(r.pendingReleases, source)
	}
	return some
}

// learnReleases notes how often a source was released. It reports whether that is more often than known: the cache may be
// behind the writes of this replica.
func (r *Reconciler) learnReleases(source string, count int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if count <= r.released[source] {
		return false
	}
	r.released[source] = count
	return true
}

// applyRequests releases the requested sources, and reports whether a release is still to be done.
func (r *Reconciler) applyRequests(requested []string, holds map[string]guard.Hold, release func(source string)) (waiting bool) {
	maps.DeleteFunc(r.pendingReleases, func(source string, _ time.Time) bool { return !slices.Contains(requested, source) })
	for _, source := range requested {
		if r.applyRequest(source, holds, release) {
			waiting = true
		}
	}
	return waiting
}

// applyRequest releases a requested source once: a hold that began after the request needs a request of its own. It
// reports whether the release is still to be done.
func (r *Reconciler) applyRequest(source string, holds map[string]guard.Hold, release func(source string)) (waiting bool) {
	hold, held := holds[source]
	released, pending := r.pendingReleases[source]
	if !held || hold.Released || pending && !released.Equal(hold.Since) {
		return false
	}
	if !pending {
		r.pendingReleases[source] = hold.Since
		release(source)
	}
	return true
}
