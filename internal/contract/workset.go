package contract

import (
	"slices"
	"sync"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/wait"
)

// A WorkSet is the set of services that an output has yet to write. An output embeds it to implement Notify and Synced.
// Create it with NewWorkSet.
type WorkSet struct {
	// Wake receives a value when there may be work.
	Wake wait.Signal

	// mu guards names. It is a leaf in the lock order: no other lock is acquired while it is held.
	mu    sync.Mutex
	names map[mesh.Name]bool
}

// NewWorkSet returns an empty set.
func NewWorkSet() WorkSet { return WorkSet{Wake: wait.NewSignal(), names: map[mesh.Name]bool{}} }

// Notify implements Output: it adds a service and wakes the receiver.
func (w *WorkSet) Notify(name mesh.Name) {
	w.Add(name)
	w.Wake.Notify()
}

// Add adds a service without waking the receiver.
func (w *WorkSet) Add(name mesh.Name) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[name] = true
}

// Synced implements Output: it wakes the receiver.
func (w *WorkSet) Synced() { w.Wake.Notify() }

// Drain empties the set and returns its services, sorted.
func (w *WorkSet) Drain() []mesh.Name {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := make([]mesh.Name, 0, len(w.names))
	for name := range w.names {
		names = append(names, name)
	}
	clear(w.names)
	slices.SortFunc(names, mesh.Name.Compare)
	return names
}
