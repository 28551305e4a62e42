package bridge

import (
	"slices"
	"sync"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// A Bell holds a value while there is something to do. Make one with NewBell, and wait by receiving from it.
type Bell chan struct{}

// NewBell returns a bell that nobody has rung.
func NewBell() Bell { return make(Bell, 1) }

// Ring says that there is something to do. It returns at once.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// Pending is the set of services that wait for an output, and half of an Output: the half that returns at once. Make one
// with NewPending.
type Pending struct {
	// Wake rings when there may be something to take.
	Wake Bell

	mu    sync.Mutex
	names map[mesh.Name]bool
}

// NewPending returns a set in which nothing waits.
func NewPending() Pending { return Pending{Wake: NewBell(), names: map[mesh.Name]bool{}} }

// Notify implements Output.
func (p *Pending) Notify(name mesh.Name) {
	p.Keep(name)
	p.Wake.Ring()
}

// Keep has a service taken the next time that anything is.
func (p *Pending) Keep(name mesh.Name) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names[name] = true
}

// Synced implements Output.
func (p *Pending) Synced() { p.Wake.Ring() }

// Take returns the waiting services, sorted, and leaves none.
func (p *Pending) Take() []mesh.Name {
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
