package file

import (
	"errors"
	"slices"
	"sync"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

var errNothingWritten = errors.New("output: the first whole content is not written yet")

// pending is the set of services that wait to be written. It is the part of a bridge.Output that both ways of
// writing share.
type pending struct {
	// wake holds a value while there is something to do.
	wake chan struct{}

	mu      sync.Mutex
	names   map[mesh.Name]bool
	written bool
}

func newPending() pending {
	return pending{wake: make(chan struct{}, 1), names: map[mesh.Name]bool{}}
}

// Notify implements bridge.Output.
func (p *pending) Notify(name mesh.Name) {
	p.mu.Lock()
	p.names[name] = true
	p.mu.Unlock()
	p.ring()
}

// keep has a service written the next time that anything is.
func (p *pending) keep(name mesh.Name) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names[name] = true
}

// Synced implements bridge.Output.
func (p *pending) Synced() { p.ring() }

// Ready implements bridge.Output.
func (p *pending) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.written {
		return errNothingWritten
	}
	return nil
}

func (p *pending) ring() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take returns the waiting services, sorted, and leaves none.
func (p *pending) take() []mesh.Name {
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

func (p *pending) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written = true
}
