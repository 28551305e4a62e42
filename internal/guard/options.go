package guard

import (
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Options say how much may disappear.
type Options struct {
	// Window is how long a disappearance counts; 0 turns the guard off.
	Window time.Duration
	// Instances is the share of a source's serving instances, and Services the share of its services, that may go
	// within a window. A service goes with its last serving instance.
	Instances, Services float64
	// FewInstances and FewServices may go whatever share they are.
	FewInstances, FewServices int
	// ReleaseAfter is when a hold ends by itself, counted anew after a restart; 0 means never.
	ReleaseAfter time.Duration
	// Serving tells whether an instance takes traffic: by its health, and by whether it can be reached at all.
	Serving func(catalog.Instance) bool
}

// SetOptions changes the rules. What went before counts no more, but what is held stays so, unless the guard is switched
// off.
func (g *Guard) SetOptions(options Options) []catalog.Service {
	g.options = options
	for _, s := range g.services {
		s.gained = nil
		if g.synced {
			g.forget(s)
		}
		g.recount(s)
		g.drop(s)
	}
	if options.Window > 0 {
		return nil
	}
	if !g.synced {
		g.end() // what it kept can't go yet
		return nil
	}
	return g.Release()
}
