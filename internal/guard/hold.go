package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Hold describes the removals of a source that are held.
type Hold struct {
	// Since is the time from which removals are held without interruption, by the clock of the replica that began the hold.
	// It is informational only.
	Since time.Time `json:"since"`
	// Reason describes the newest removal that is held.
	Reason string `json:"reason"`
	// All reports whether all lost instances are held. If false, only those of services that lost all instances are held:
	// such a service has nothing to lose, while another one works better without instances that may be dead.
	All bool `json:"all"`
	// Released reports whether an operator released the hold before the source has synced. The removals apply after the
	// sync.
	Released bool `json:"released,omitempty"`
	// Services is the number of services whose instances are all held.
	Services int `json:"services"`
	// Instances is the number of held instances.
	Instances int `json:"instances"`
	// Removals is the number of mass removals that are held. Each one ends by itself.
	Removals int `json:"removals,omitempty"`
	// Nodes are the nodes of all held instances, sorted. It is empty if they are on many nodes: the cause then isn't the
	// loss of a node or of an agent.
	Nodes []string `json:"nodes,omitempty"`
}

// Equal reports whether two holds are equal in each field.
func (h Hold) Equal(other Hold) bool {
	if !h.Since.Equal(other.Since) || !slices.Equal(h.Nodes, other.Nodes) {
		return false
	}
	return h.Reason == other.Reason && h.All == other.All && h.Released == other.Released &&
		h.Services == other.Services && h.Instances == other.Instances && h.Removals == other.Removals
}

// Size describes the size of a hold, and the nodes if they are few.
func (h Hold) Size() string {
	return fmt.Sprintf("%d instances, %d services%s", h.Instances, h.Services, h.OnNodes())
}

// OnNodes returns the nodes of a hold in a form that continues a text; it is empty if there are none.
func (h Hold) OnNodes() string {
	switch len(h.Nodes) {
	case 0:
		return ""
	case 1:
		return ", all on node " + h.Nodes[0]
	default:
		return ", all on nodes " + strings.Join(h.Nodes, ", ")
	}
}

// Hold returns the active hold, or false if there is none.
func (g *Guard) Hold() (Hold, bool) {
	hold := g.hold
	if g.held() && g.synced { // before the sync, not all held instances are known
		hold.Instances, hold.Services = g.totals.held, g.totals.servicesHeld
		hold.Removals, hold.Nodes, hold.All = len(g.sets), g.heldNodes(), false
		for _, t := range g.sets {
			hold.All = hold.All || t.all
		}
	}
	return hold, g.held()
}

// Detected returns the number of mass removals that this process has detected so far.
func (g *Guard) Detected() int { return g.detected }

// held reports whether a hold is active.
func (g *Guard) held() bool { return len(g.sets) > 0 }

// Release applies the held removals. Before the source has synced, it only records the release: after the sync, removals
// up to the size of the hold apply.
func (g *Guard) Release() []catalog.Service {
	if !g.synced {
		g.hold.Released = g.held()
		return nil
	}
	g.recent = nil
	var changed []catalog.Service
	for _, s := range g.servicesWithLosses() {
		held := s.counted.held > 0
		for id := range s.losses {
			g.drop(s, id)
		}
		g.recount(s)
		if held {
			changed = append(changed, g.view(s))
		}
		g.dropIfGone(s)
	}
	g.sets = nil
	g.endSets()
	return changed
}

// mayHoldMore reports whether an inherited set may affect instances that aren't known to be missing yet.
func (g *Guard) mayHoldMore(t *set) bool { return t.inherited && g.totals.restored > 0 }

// endSets ends the sets that hold nothing, and the hold with the last one.
func (g *Guard) endSets() {
	g.sets = slices.DeleteFunc(g.sets, func(t *set) bool { return len(t.nodes) == 0 && !g.mayHoldMore(t) })
	if !slices.Contains(g.sets, g.open) {
		g.open = nil
	}
	if len(g.sets) == 0 {
		g.hold = Hold{}
	}
}

// updateHold begins or widens a hold if a limit is exceeded. It returns the services that get instances back, including
// those lost earlier in the window.
func (g *Guard) updateHold(now time.Time, when string) []catalog.Service {
	services, instances := g.exceeded()
	if g.options.Window == 0 || !instances && !services || g.open != nil && (g.open.all || !instances) {
		return nil
	}
	if !g.held() {
		g.hold = Hold{Since: now}
	}
	g.hold.Reason = g.reason(when)
	if g.open == nil {
		g.detected++
		g.begin(now, instances)
	}
	g.open.all = instances
	var changed []catalog.Service
	for _, s := range g.servicesWithLosses() {
		if g.holdLosses(now, s) {
			changed = append(changed, g.view(s))
		}
	}
	return changed
}

// holdLosses holds the losses of a service if the open set applies to it. It reports whether that holds more instances
// than before.
func (g *Guard) holdLosses(now time.Time, s *service) bool {
	t := g.open
	if t == nil || !t.all && !s.counted.lostAll() || s.counted.held == s.counted.lost {
		return false
	}
	for id, l := range s.losses {
		if l.set == nil {
			g.move(s, id, t)
		}
	}
	t.changed[s.generation] = now
	g.recount(s)
	return true
}

func (g *Guard) servicesWithLosses() []*service {
	return slices.DeleteFunc(g.sorted(), func(s *service) bool { return len(s.losses) == 0 })
}

func (g *Guard) sorted() []*service {
	all := make([]*service, 0, len(g.services))
	for _, s := range g.services {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *service) int { return a.reported.Key.Compare(b.reported.Key) })
	return all
}
