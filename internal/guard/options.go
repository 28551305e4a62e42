package guard

import (
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// defaultSeparateWindows is the number of windows that Options.SeparateAfter has by default.
const defaultSeparateWindows = 10

// Options set the limits of the guard.
type Options struct {
	// Window is the time for which a loss counts. 0 disables the guard.
	Window time.Duration
	// Instances is the share of a source's serving instances that may be lost within a window.
	Instances float64
	// Services is the share of a source's services that may lose all instances within a window.
	Services float64
	// FewInstances is the number of instances that may always be lost.
	FewInstances int
	// FewServices is the number of services that may always lose all instances.
	FewServices int
	// ReleaseAfter is the time after which a hold ends. After a restart it counts again, from the sync. 0 means never.
	ReleaseAfter time.Duration
	// SeparateAfter is the time after which a loss leaves a set that only younger losses keep above the limits. 0 means ten
	// windows.
	SeparateAfter time.Duration
	// Serving reports whether an instance receives traffic: it is healthy and reachable.
	Serving func(catalog.Instance) bool
}

// SetOptions changes the options. Earlier losses no longer count. Held instances stay held, unless the guard is disabled.
func (g *Guard) SetOptions(options Options) []catalog.Service {
	g.options = options
	g.recent = nil
	for _, s := range g.services {
		s.arrivals = nil
		if g.synced {
			g.dropUnheld(s)
		}
		g.recount(s)
		g.dropIfGone(s)
	}
	if options.Window > 0 {
		return nil
	}
	if !g.synced {
		g.sets = nil // the removals apply after the sync
		g.endSets()
		return nil
	}
	return g.Release()
}

// separateAfter returns the value in force.
func (o Options) separateAfter() time.Duration {
	if o.SeparateAfter > 0 {
		return o.SeparateAfter
	}
	return defaultSeparateWindows * o.Window
}
