package kube

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// patience is how long the cache may lag behind our own writes. After it the cache is believed: a watch that
// broke at the wrong moment may have missed that the object came and went.
const patience = 30 * time.Second

// reference names an object of ours.
type reference struct {
	kind      mesh.Kind
	namespace string
	name      string
}

func refer(o mesh.Object) reference { return reference{o.Kind, o.Namespace, o.Name} }

func referStanding(o client.Object) reference {
	return reference{kindOf(o), o.GetNamespace(), o.GetName()}
}

// ledger remembers our own writes until the cache has seen them, so that a service that changes again meanwhile
// isn't compared with what it was before: that would write what stands there already.
type ledger struct {
	mu      sync.Mutex
	entries map[reference]entry
}

// entry is our last write to an object: what was applied, or which object was deleted.
type entry struct {
	at      time.Time
	applied mesh.Object
	basis   basis
	deleted types.UID
}

func (l *ledger) applied(object mesh.Object, made basis) {
	l.put(refer(object), entry{applied: object, basis: made})
}

func (l *ledger) deleted(object client.Object) {
	l.put(referStanding(object), entry{deleted: object.GetUID()})
}

func (l *ledger) put(at reference, e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries == nil {
		l.entries = map[reference]entry{}
	}
	e.at = time.Now()
	l.entries[at] = e
}

// forget drops what was written to an object that is gone now.
func (l *ledger) forget(object client.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := referStanding(object)
	if e, ok := l.entries[at]; ok && (e.deleted == object.GetUID() || seen(object.GetResourceVersion(), e.basis.version)) {
		delete(l.entries, at)
	}
}

// drop forgets what was written to an object: the API server itself has been asked since.
func (l *ledger) drop(at reference) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.entries, at)
}

// clear drops everything: another replica may have written since.
func (l *ledger) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}

// ahead returns our last write to an object if the cache, which holds cached (nil for nothing), has not seen
// it yet.
func (l *ledger) ahead(at reference, cached client.Object) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.entries[at]
	if !ok {
		return entry{}, false
	}
	caughtUp := cached != nil && cached.GetUID() != e.deleted && seen(cached.GetResourceVersion(), e.basis.version)
	if e.deleted != "" {
		caughtUp = cached == nil || cached.GetUID() != e.deleted
	}
	if caughtUp || time.Since(e.at) > patience {
		delete(l.entries, at)
		return entry{}, false
	}
	return e, true
}

// seen tells whether a version of an object is at least as new as another. Versions that can't be compared
// count as seen: the cost is one write that changes nothing.
func seen(version, written string) bool {
	order, err := resourceversion.CompareResourceVersion(version, written)
	return err != nil || order >= 0
}
