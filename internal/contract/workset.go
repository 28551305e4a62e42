package contract

import (
	"slices"
	"sync"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A Signal holds a value while there is something to do. Make one with NewBell, and wait by receiving from it.
type Signal chan struct{}

// NewSignal returns a bell that nobody has rung.
func NewSignal() Signal { return make(Signal, 1) }

// Notify says that there is something to do. It returns at once.
func (b Signal) Notify() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// WorkSet is the set of services that wait for an output, and half of an Output: the half that returns at once. Make one
// with NewPending.
type WorkSet struct {
	// Wake rings when there may be something to take.
	Wake Signal

	mu    sync.Mutex
	names map[mesh.Name]bool
}

// NewWorkSet returns a set in which nothing waits.
func NewWorkSet() WorkSet { return WorkSet{Wake: NewSignal(), names: map[mesh.Name]bool{}} }

// Notify implements Output.
func (p *WorkSet) Notify(name mesh.Name) {
	p.Add(name)
	p.Wake.Notify()
}

// Add has a service taken the next time that anything is.
func (p *WorkSet) Add(name mesh.Name) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names[name] = true
}

// Synced implements Output.
func (p *WorkSet) Synced() { p.Wake.Notify() }

// Drain returns the waiting services, sorted, and leaves none.
func (p *WorkSet) Drain() []mesh.Name {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := make([]mesh.Name, 0, len(p.names))
	for name := range p.names {
		names = append(names, name)
	}
	clear(p.names)
	slices.SortFunc(names, mesh.Name.Compare)
	return names
}
