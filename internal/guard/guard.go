package guard

import (
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/duration"
)

// Guard decides on the removals of one source. Its methods return the services to apply; some of them may be unchanged. It
// isn't safe for concurrent use. Create it with New.
type Guard struct {
	options Options
	// services are the known services, by name.
	services map[string]*service
	// recent are the losses of the window, oldest first.
	recent []lossRef
	// synced reports whether the source has reported all that it can read. No removal is applied before.
	synced bool
	// complete reports whether that was the complete content of the registry.
	complete bool
	// hasRestored reports whether services of an earlier run are known. Services that are not among them are new.
	hasRestored bool
	// sets are the mass removals that are held, oldest first.
	sets []*set
	// open is the set that further losses join, or nil. It is open for one window.
	open *set
	// begun counts the sets that have begun, and detected those that did not begin elsewhere.
	begun, detected int
	// hold describes the active hold.
	hold Hold
	// acknowledged is a hold that an operator released before the sync. Losses up to its size don't count.
	acknowledged Hold
	// known counts the services and instances that serve or are lost, by generation.
	known census
	// current are the counts that decide whether a removal is held: known without the losses of closed sets.
	current census
	// totals are the sums over all services.
	totals totals
	// elsewhere and nowhere are the last results of servesElsewhere.
	elsewhere string
	nowhere   bool
}

// service is the state of one service.
type service struct {
	// reported is the newest report, combined with earlier ones if it was partial.
	reported catalog.Service
	// restored reports whether reported comes from an earlier run, at least in part: no full report has arrived.
	restored bool
	// hasReport reports whether a report has arrived, full or partial.
	hasReport bool
	// partial reports whether the newest report was partial.
	partial bool
	// losses are the losses of the window and the held instances. It is nil before the first loss.
	losses map[catalog.InstanceID]loss
	// arrivals are the times at which new instances arrived in the window that don't make up for a loss yet.
	arrivals []time.Time
	// ranked reports whether generation is set: the service serves or has losses.
	ranked bool
	// generation is the generation of the service. An older one has a lower number.
	generation int
	// slots are the instances that serve or are lost, by generation, oldest first.
	slots []slots
	// counted is the part of Guard.totals that comes from this service.
	counted tally
	// contributions are the parts of Guard.current and of the sets that come from this service.
	contributions []contribution
}

// New returns the guard of a source that has reported nothing.
func New(options Options) *Guard {
	return &Guard{options: options, services: map[string]*service{}}
}

// Restore sets the services and the hold of an earlier run, or the zero Hold. Call it before all other methods.
func (g *Guard) Restore(services []catalog.Service, hold Hold) {
	for _, known := range services {
		s := g.service(known.Key)
		s.reported, s.restored = known, true
		if slices.ContainsFunc(known.Instances, g.options.Serving) {
			g.rank(s, min(max(known.Generation, 0), generations-1))
		}
		g.recount(s)
	}
	g.hasRestored = len(services) > 0
	if g.options.Window > 0 && !hold.Since.IsZero() {
		g.begin(hold.Since, hold.All).inherited = true
		g.hold = hold
	}
}

// Report handles the newest report of a service. A partial report removes only the instances that it excludes.
func (g *Guard) Report(now time.Time, report catalog.Service) []catalog.Service {
	g.expireLosses(now)
	s := g.service(report.Key)
	g.compare(now, s, report)
	var changed []catalog.Service
	if g.synced {
		changed = g.updateHold(now, "within "+duration.Text(g.options.Window))
		g.holdLosses(now, s)
		g.endSets()
	}
	changed = append(changed, g.view(s))
	g.dropIfGone(s)
	return changed
}

// Synced records that the source has reported all that it can read. If that is the complete content, restored services
// without a report are gone, and the guard decides on all missing instances as one removal. Otherwise they stay as
// restored, until Synced is called for the complete content. Further calls have no effect, except that a source whose
// content is no longer complete is one that has not reported all of it.
func (g *Guard) Synced(now time.Time, isComplete bool) []catalog.Service {
	first := !g.synced
	if g.complete && !isComplete {
		g.complete = false
		return nil
	}
	if g.complete || !first && !isComplete {
		return nil
	}
	all := g.sorted()
	unreported := g.removeUnreported(now, all, isComplete)
	g.synced, g.complete = true, isComplete
	if first {
		g.inherit(now)
	}
	changed := g.updateHold(now, "while isthmus was not running")
	g.acknowledged = Hold{}
	for _, s := range all {
		if !unreported[s] && (len(s.losses) == 0 || !first) {
			continue
		}
		g.holdLosses(now, s)
		g.dropUnheld(s)
		changed = append(changed, g.view(s))
		g.dropIfGone(s)
	}
	g.endSets()
	if first {
		g.recent = nil
	}
	if g.open != nil && g.open.inherited && !g.mayHoldMore(g.open) {
		g.close() // its window has passed, and later removals are others
	}
	return changed
}

// inherit begins the time of the restored set, and fixes its limits by what served before. A set that was released before
// the sync ends.
func (g *Guard) inherit(now time.Time) {
	if g.hold.Released {
		g.acknowledged, g.hold, g.sets, g.open = g.hold, Hold{}, nil, nil
	}
	for _, t := range g.sets {
		t.began = now
		g.fix(t)
	}
}

// removeUnreported returns the restored services without a report. If the content of the source is complete, their
// instances are lost.
func (g *Guard) removeUnreported(now time.Time, all []*service, isComplete bool) map[*service]bool {
	unreported := map[*service]bool{}
	for _, s := range all {
		if unreported[s] = s.restored && !s.hasReport; unreported[s] && isComplete {
			g.compare(now, s, catalog.Service{Key: s.reported.Key, Datacenter: s.reported.Datacenter})
		}
	}
	return unreported
}

// RestoredServices returns the number of services that are known from an earlier run only, at least in part.
func (g *Guard) RestoredServices() int { return g.totals.restored }

// Reported returns the newest report of each service, without held instances. It also reports whether Synced was called, and
// whether the content was complete.
func (g *Guard) Reported() (services []catalog.Service, synced, isComplete bool) {
	for _, s := range g.sorted() {
		if s.hasReport {
			services = append(services, s.report())
		}
	}
	return services, g.synced, g.complete
}

// service returns the state of a service, and adds it if it is new.
func (g *Guard) service(key catalog.Key) *service {
	s := g.services[key.Name]
	if s == nil {
		s = &service{reported: catalog.Service{Key: key}}
		g.services[key.Name] = s
	}
	return s
}

// report returns the newest report as it arrived, combined with earlier ones if it was partial.
func (s *service) report() catalog.Service {
	report := s.reported
	report.Partial = s.partial
	return report
}

// dropIfGone forgets a service that has neither instances nor losses.
func (g *Guard) dropIfGone(s *service) {
	if len(s.reported.Instances) == 0 && len(s.losses) == 0 {
		delete(g.services, s.reported.Name)
	}
}
