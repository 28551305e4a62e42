package kube

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// expectationTimeout is how long the cache may lag behind our own writes. After that the cache is right: a watch that
// broke at the wrong moment may have missed that an object came and went.
const expectationTimeout = 30 * time.Second

// expectations remember our own writes until the cache has them. Without it, a service that changes again meanwhile would
// be compared with its objects before the write, and written once more.
type expectations struct {
	// mu guards writes. It is a leaf in the lock order.
	mu     sync.Mutex
	writes map[object.Key]write
}

// write is our last write to an object: the object that was applied, or the UID of the object that was deleted.
type write struct {
	at      time.Time
	applied mesh.Object
	// result is the version of the object that the write made.
	result  precondition
	deleted types.UID
}

func (e *expectations) applied(wanted mesh.Object, result precondition) {
	e.put(object.KeyOf(wanted), write{applied: wanted, result: result})
}

func (e *expectations) deleted(live client.Object) {
	e.put(object.LiveKeyOf(live), write{deleted: live.GetUID()})
}

func (e *expectations) put(key object.Key, last write) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.writes == nil {
		e.writes = map[object.Key]write{}
	}
	last.at = time.Now()
	e.writes[key] = last
}

// observeDelete drops the write to an object that is gone from the cache, unless the write is newer.
func (e *expectations) observeDelete(live client.Object) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := object.LiveKeyOf(live)
	last, ok := e.writes[key]
	if ok && (last.deleted == live.GetUID() || isAtLeast(live.GetResourceVersion(), last.result.version)) {
		delete(e.writes, key)
	}
}

// drop drops the write to an object, because the API server was asked for its state.
func (e *expectations) drop(key object.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.writes, key)
}

// clear drops all writes, because another replica may have written since.
func (e *expectations) clear() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writes = nil
}

// pending returns our last write to an object if the cache does not have it yet. Cached is the object in the cache, nil
// for none.
func (e *expectations) pending(key object.Key, cached client.Object) (write, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	last, ok := e.writes[key]
	if !ok {
		return write{}, false
	}
	var seen bool
	if last.deleted != "" {
		seen = cached == nil || cached.GetUID() != last.deleted
	} else {
		seen = cached != nil && isAtLeast(cached.GetResourceVersion(), last.result.version)
	}
	if seen || time.Since(last.at) > expectationTimeout {
		delete(e.writes, key)
		return write{}, false
	}
	return last, true
}

// isAtLeast reports whether a resource version is at least as new as another one. Versions that can't be compared count
// as such: the cost is one write that changes nothing.
func isAtLeast(version, other string) bool {
	order, err := resourceversion.CompareResourceVersion(version, other)
	return err != nil || order >= 0
}
