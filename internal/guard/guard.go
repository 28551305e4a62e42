// Package guard decides whether a disappearance is believed.
//
// A registry that fails often fails by saying less: an agent that lost its servers, a restored snapshot, a token
// that lost rights, a node whose checks all turned critical. What leaves one by one leaves at once; what leaves as a
// flood stays as it was last reported, until the registry brings it back or somebody says that it is meant.
//
// It is pure: no clock, no network. The caller says what time it is.
package guard

import (
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/duration"
)

// Guard judges what one source reports. Its methods return the services as they shall be handed on, each of which
// may have changed. It is for one goroutine.
type Guard struct {
	options  Options
	services map[string]*service
	// recent are the losses of the window in the order of time.
	recent []mark
	// synced says that the source has reported what it can. Until then nothing leaves. whole says that nothing was hidden
	// from it.
	synced, whole bool
	// held says that a flood is held back, as hold describes; inherited that it was before our start.
	held, inherited bool
	hold            Hold
	// began is when the hold began here: for one of before our start, when the source had reported what it can.
	began time.Time
	// pardoned is a hold that somebody released before what was missing could go.
	pardoned Hold
	// returned is when the registry last brought something back.
	returned time.Time

	// serving and full count instances that serve and services that have some; lost and emptied what went, kept and
	// keptWhole what of that is kept. recalled counts the services of which it isn't known what of before is gone.
	serving, full, lost, emptied, kept, keptWhole, recalled int
}

// service is what is known of one service.
type service struct {
	reported catalog.Service
	// recalled says that reported comes from before our start, or may in part: no whole report has come. heard says that
	// one has, whole or not.
	recalled, heard bool
	// partial says that the last report may not have shown everything.
	partial bool
	// losses are the instances that went within the window, and those that are kept; nil before the first.
	losses map[catalog.InstanceID]loss
	// gained are the times of the window at which an instance came that none went for.
	gained []time.Time
	// counted is what the totals hold of the service.
	counted tally
}

// tally counts instances: those that serve, those that went, and those of them that are kept.
type tally struct {
	serving, lost, kept int
	recalled            bool
}

func (t tally) full() bool      { return t.serving > 0 }
func (t tally) emptied() bool   { return t.serving == 0 && t.lost > 0 }
func (t tally) keptWhole() bool { return t.serving == 0 && t.kept > 0 }

// loss is an instance as it was last reported serving.
type loss struct {
	catalog.Instance
	at time.Time
	// kept says that the mesh keeps it.
	kept bool
}

type mark struct {
	at      time.Time
	service string
	id      catalog.InstanceID
}

// New returns the guard of a source that has reported nothing yet.
func New(options Options) *Guard {
	return &Guard{options: options, services: map[string]*service{}}
}

// Restore takes what the mesh held of the source before our start, and the hold that was in force; the zero Hold for
// none. It comes before all reports.
func (g *Guard) Restore(services []catalog.Service, hold Hold) {
	for _, known := range services {
		s := g.service(known.Key)
		s.reported, s.recalled = known, true
		g.recount(s)
	}
	if g.options.Window > 0 {
		g.hold, g.held = hold, !hold.Since.IsZero()
		g.inherited = g.held
	}
}

// Report takes the newest state of one service. A partial one takes away only what it knows to be gone.
func (g *Guard) Report(now time.Time, report catalog.Service) []catalog.Service {
	g.expire(now)
	s := g.service(report.Key)
	g.compare(now, s, report)
	var changed []catalog.Service
	if g.synced {
		changed = g.judge(now, "within "+duration.Text(g.options.Window))
		g.keepIfHeld(s)
	}
	changed = append(changed, g.view(s))
	if g.held && g.synced && g.over() {
		changed = append(changed, g.Release()...)
	}
	g.drop(s)
	return changed
}

// Synced says that the source has reported what it can. Where that is the whole content, what was recalled and not
// reported is gone, and all that is missing is judged as one disappearance. Else it stays as it was recalled, until
// Synced is called once more, for the whole content. More calls have no effect.
func (g *Guard) Synced(now time.Time, whole bool) []catalog.Service {
	first := !g.synced
	if g.whole || !first && !whole {
		return nil
	}
	all := g.sorted()
	unheard := map[*service]bool{}
	for _, s := range all {
		if unheard[s] = s.recalled && !s.heard; unheard[s] && whole {
			g.compare(now, s, catalog.Service{Key: s.reported.Key, Datacenter: s.reported.Datacenter})
		}
	}
	g.synced, g.whole, g.returned = true, whole, now
	if first {
		g.began = now
	}
	if g.hold.Released {
		g.pardoned = g.hold
		g.end()
	}
	changed := g.judge(now, "while isthmus was away")
	g.pardoned = Hold{}
	for _, s := range all {
		if !unheard[s] && (len(s.losses) == 0 || !first) {
			continue
		}
		g.keepIfHeld(s)
		g.forget(s)
		changed = append(changed, g.view(s))
		g.drop(s)
	}
	if g.over() {
		g.end()
	}
	if first {
		g.recent = nil
	}
	return changed
}

// RestoredServices returns how many services are, as a whole or in part, only known from before the start.
func (g *Guard) RestoredServices() int { return g.recalled }

func (g *Guard) service(key catalog.Key) *service {
	s := g.services[key.Name]
	if s == nil {
		s = &service{reported: catalog.Service{Key: key}}
		g.services[key.Name] = s
	}
	return s
}

// drop forgets a service that is gone.
func (g *Guard) drop(s *service) {
	if len(s.reported.Instances) == 0 && len(s.losses) == 0 {
		delete(g.services, s.reported.Name)
	}
}
