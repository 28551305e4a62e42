package config

import (
	"math"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// Guard configures the protection against mass removals.
type Guard struct {
	Enabled          bool     `json:"enabled" doc:"False disables the guard: every removal applies at once."`
	Window           Duration `json:"window" doc:"Period over which removals are counted. Removals in small steps over more than one window are never held."`
	InstancesPercent int      `json:"instancesPercent" doc:"Maximum share of the serving instances of a source, without those that came later, that may be removed or turn critical within a window, in percent. Replaced instances and instances in maintenance don't count."`
	ServicesPercent  int      `json:"servicesPercent" doc:"Maximum share of the services of a source, without those that came later, that may lose their last serving instance within a window, in percent."`
	FewInstances     int      `json:"fewInstances" doc:"Number of instances that may always be removed, independent of their share."`
	FewServices      int      `json:"fewServices" doc:"Number of services that may always lose their last instance, independent of their share."`
	SeparateAfter    Duration `json:"separateAfter" doc:"Time after which a removal that is below the limits among the services that are at least as old leaves a hold of younger services. 0: ten windows."`
	ReleaseAfter     Duration `json:"releaseAfter" doc:"Maximum time that removals are held. A restart starts it again. 0: until the instances return or you run isthmus release."`
}

// State configures the state file.
type State struct {
	File string `json:"file" doc:"File with the last known good state. A start while Consul is down serves it, and held removals stay held. Only the user of isthmus can read it. Empty: nothing survives a restart."`
}

// defaultGuard returns the defaults. docs/reliability.md gives the reasons.
func defaultGuard() Guard {
	return Guard{
		Enabled: true, Window: Duration(time.Minute),
		InstancesPercent: 50, ServicesPercent: 10, FewInstances: 10, FewServices: 2,
	}
}

// Options returns the options of the guard. The zero value disables it.
func (g Guard) Options() guard.Options {
	if !g.Enabled {
		return guard.Options{}
	}
	return guard.Options{
		Window:    g.Window.Std(),
		Instances: float64(g.InstancesPercent) / 100, Services: float64(g.ServicesPercent) / 100,
		FewInstances: g.FewInstances, FewServices: g.FewServices,
		SeparateAfter: g.SeparateAfter.Std(), ReleaseAfter: g.ReleaseAfter.Std(),
	}
}

func (g Guard) validate(found *problems) {
	if g.Window < Duration(time.Second) {
		found.fail("guard.window", "%s is less than 1s; to disable the guard, set guard.enabled to false", g.Window)
	}
	found.within("guard.instancesPercent", g.InstancesPercent, 0, 100)
	found.within("guard.servicesPercent", g.ServicesPercent, 0, 100)
	found.within("guard.fewInstances", g.FewInstances, 0, math.MaxInt)
	found.within("guard.fewServices", g.FewServices, 0, math.MaxInt)
	if g.SeparateAfter != 0 && g.SeparateAfter < g.Window {
		found.fail("guard.separateAfter", "%s is less than guard.window (%s); 0 means ten windows", g.SeparateAfter, g.Window)
	}
	if g.ReleaseAfter < 0 {
		found.fail("guard.releaseAfter", "%s is negative; 0 means no limit", g.ReleaseAfter)
	}
}
