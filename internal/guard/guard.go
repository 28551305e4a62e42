// Package guard is the mass-removal protection: it decides which removals that a source reports are applied.
//
// A registry that fails often reports less than it knows: an agent lost its servers, a snapshot was restored, a token lost
// rights, or all checks of a node turned critical. The guard applies single removals at once. It holds mass removals: the
// affected instances stay in the mesh as last reported until the registry reports them again or an operator releases them.
//
// # Which removals are held
//
// An instance is lost if it no longer serves: it is gone, critical, or not reachable. The guard counts the losses of one
// window. An instance in maintenance or of a kind that the source leaves out isn't a loss, and a new instance of the service
// makes up for a loss.
//
//	over the      over the      the service lost    its losses
//	instance      service       all of its
//	limit         limit         instances
//	------------  ------------  ------------------  ----------------------------------------------------------
//	no            no            any                 applied
//	no            yes           no                  applied: the service works better without dead instances
//	no            yes           yes                 held
//	yes           any           any                 held
//
// A limit is exceeded if the losses are more than the small number that is always allowed, and more than the share of all
// instances or services. A new hold includes the earlier losses of the window.
//
// # Until the source has synced
//
//	the source        a service that it            a service that it        an instance missing
//	has synced        never reported               reported in part         from a full report
//	----------------  ---------------------------  -----------------------  --------------------------
//	no                kept                         kept                     kept
//	partially         kept                         kept                     by the table above
//	completely        by the table above           kept                     by the table above
//
// # When a hold ends
//
//   - The registry reports all held instances again.
//   - An operator releases the hold.
//   - The remaining losses are below both limits, and no lost instance has returned for one window.
//   - Options.ReleaseAfter has passed.
//   - The guard is disabled.
//
// The package is pure: it has no clock and no network. The caller passes the time.
package guard

import (
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
	// held reports whether hold is active.
	held bool
	// inherited reports whether the active hold began in an earlier run or on another replica.
	inherited bool
	// hold describes the active hold.
	hold Hold
	// began is the time from which Options.ReleaseAfter counts. For an inherited hold it is the time of the sync.
	began time.Time
	// acknowledged is a hold that an operator released before the sync. Losses up to its size don't count.
	acknowledged Hold
	// lastReturn is the time at which the registry last reported a lost instance again.
	lastReturn time.Time
	// totals are the sums over all services.
	totals totals
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
	// counted is the part of Guard.totals that comes from this service.
	counted tally
}

// loss is a lost instance as it was when it last served.
type loss struct {
	catalog.Instance
	// at is the time of the loss.
	at time.Time
	// held reports whether the instance stays in the mesh.
	held bool
}

// lossRef refers to a loss.
type lossRef struct {
	at      time.Time
	service string
	id      catalog.InstanceID
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
		g.recount(s)
	}
	if g.options.Window > 0 {
		g.hold, g.held = hold, !hold.Since.IsZero()
		g.inherited = g.held
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
		g.holdLosses(s)
	}
	changed = append(changed, g.view(s))
	if g.held && g.synced && g.nothingHeld() {
		changed = append(changed, g.Release()...)
	}
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
	g.synced, g.complete, g.lastReturn = true, isComplete, now
	if first {
		g.began = now
	}
	if g.hold.Released {
		g.acknowledged = g.hold
		g.endHold()
	}
	changed := g.updateHold(now, "while isthmus was not running")
	g.acknowledged = Hold{}
	for _, s := range all {
		if !unreported[s] && (len(s.losses) == 0 || !first) {
			continue
		}
		g.holdLosses(s)
		g.dropUnheld(s)
		changed = append(changed, g.view(s))
		g.dropIfGone(s)
	}
	if g.nothingHeld() {
		g.endHold()
	}
	if first {
		g.recent = nil
	}
	return changed
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
