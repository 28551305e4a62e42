package config

import (
	"math"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// Guard says how much of a source may disappear before it isn't believed.
type Guard struct {
	Enabled          bool     `json:"enabled" doc:"Off: whatever Consul answers is believed."`
	Window           Duration `json:"window" doc:"How long a disappearance counts. What leaves in small steps, each within another window, is never held."`
	InstancesPercent int      `json:"instancesPercent" doc:"Most of a source's serving instances that may leave or turn critical within a window, in percent. Instances that others take the place of don't count, nor do those in maintenance."`
	ServicesPercent  int      `json:"servicesPercent" doc:"Most of a source's services that may lose their last serving instance within a window, in percent."`
	FewInstances     int      `json:"fewInstances" doc:"So many instances may leave whatever share they are."`
	FewServices      int      `json:"fewServices" doc:"So many services may lose their last instance whatever share they are."`
	ReleaseAfter     Duration `json:"releaseAfter" doc:"How long removals are held at most; a restart counts anew. 0: until Consul brings them back or somebody releases them."`
}

// State is what isthmus keeps for itself.
type State struct {
	File string `json:"file" doc:"File that holds the last known good: a start while Consul is down serves it, and held removals stay held. Only the user of isthmus may read it. Empty: nothing survives."`
}

// The defaults are argued in docs/reliability.md.
func defaultGuard() Guard {
	return Guard{
		Enabled: true, Window: Duration(time.Minute),
		InstancesPercent: 50, ServicesPercent: 10, FewInstances: 10, FewServices: 2,
	}
}

// Options returns the rules of the guard.
func (g Guard) Options() guard.Options {
	if !g.Enabled {
		return guard.Options{}
	}
	return guard.Options{
		Window:    g.Window.Std(),
		Instances: float64(g.InstancesPercent) / 100, Services: float64(g.ServicesPercent) / 100,
		FewInstances: g.FewInstances, FewServices: g.FewServices,
		ReleaseAfter: g.ReleaseAfter.Std(),
	}
}

func (g Guard) validate(found *checks) {
	if g.Window < Duration(time.Second) {
		found.fail("guard.window", "%s is less than 1s; set guard.enabled to false to switch the guard off", g.Window)
	}
	found.within("guard.instancesPercent", g.InstancesPercent, 0, 100)
	found.within("guard.servicesPercent", g.ServicesPercent, 0, 100)
	found.within("guard.fewInstances", g.FewInstances, 0, math.MaxInt)
	found.within("guard.fewServices", g.FewServices, 0, math.MaxInt)
	if g.ReleaseAfter < 0 {
		found.fail("guard.releaseAfter", "%s is negative; 0 means never", g.ReleaseAfter)
	}
}
