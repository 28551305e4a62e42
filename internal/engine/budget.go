package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// newcomerPercent is the part of the budget that new services may use. The rest is left for existing ones that grow.
	newcomerPercent = 90
	// Before a source is complete, new services of at most earlyObjects objects may use earlyPercent of the budget. Others
	// wait until all are known, so that the smallest come first.
	earlyPercent = 50
	earlyObjects = 64
)

// Budget bounds the objects of the desired state: each of them costs the API server memory. Zero means no bound.
type Budget struct {
	// Objects is the largest number of objects.
	Objects int
	// ObjectsPerSource is the largest number of objects of a source, or of a group of merged sources.
	ObjectsPerSource int
}

// objectBudget counts the objects. What exists stays, and newcomers wait above the budget: the largest longest.
//
//	service                                   may use
//	new, its source is not complete           half of the budget, if it has at most 64 objects
//	new                                       nine tenths
//	of the last known good, or growing        all; a growing one keeps its existing objects and gets as many as fit
//	restored                                  more than all
type objectBudget struct {
	Budget
	// total and bySource are the numbers of the desired objects, and of live ones in their place.
	total    int
	bySource map[string]int
	// waiting are the services that wait, or some of whose objects do.
	waiting map[catalog.Key]waitingService
	// known are the services of the last known good or of the leader, see knownKey.
	known map[catalog.Key]bool
	// evicted are services that must wait for others that the leader has.
	evicted map[catalog.Key]bool
	// restoring means that the last known good is being applied.
	restoring bool
	// freed means that services that wait are tried again.
	freed bool
}

type waitingService struct {
	// objects is the number of objects that wait.
	objects int
	// growing means that other objects of the service exist.
	growing bool
}

func newObjectBudget(b Budget) objectBudget {
	return objectBudget{
		Budget: b, bySource: map[string]int{}, waiting: map[catalog.Key]waitingService{},
		known: map[catalog.Key]bool{}, evicted: map[catalog.Key]bool{},
	}
}

func (b *objectBudget) enabled() bool { return b.Objects > 0 || b.ObjectsPerSource > 0 }

// charge counts objects of a source that come, or that leave if the number is negative.
func (b *objectBudget) charge(source string, objects int) {
	b.total += objects
	b.bySource[source] += objects
	b.freed = b.freed || objects < 0
}

// fits reports whether so many more objects of a source are within a part of the budget.
func (b *objectBudget) fits(source string, objects, percent int) bool {
	return objects <= b.free(source, percent)
}

// free returns how many more objects of a source are within a part of the budget.
func (b *objectBudget) free(source string, percent int) int {
	const unlimited = 1 << 40
	left := func(limit, used int) int {
		if limit == 0 {
			return unlimited
		}
		return limit/100*percent + limit%100*percent/100 - used
	}
	return max(0, min(left(b.Objects, b.total), left(b.ObjectsPerSource, b.bySource[source])))
}

// admits reports whether a new service with so many objects is within the budget.
func (e *Engine) admits(key catalog.Key, objects int) bool {
	switch b := &e.budget; {
	case b.evicted[key]:
		return false
	case b.known[e.knownKey(key)]:
		return b.fits(key.Source, objects, 100)
	case len(e.pendingSources(key.Source)) > 0:
		return objects <= earlyObjects && b.fits(key.Source, objects, earlyPercent)
	default:
		return b.fits(key.Source, objects, newcomerPercent)
	}
}

// limitObjects returns the resources of a service that are within the budget. The caller holds Engine.mu.
func (e *Engine) limitObjects(known, next *serviceState, resources mesh.Resources) mesh.Resources {
	b := &e.budget
	delete(b.waiting, next.Key)
	if !b.enabled() || b.restoring {
		return resources
	}
	existing, objects := e.existing(known, next.name, resources), sizeOf(resources)
	switch {
	case objects <= existing && !b.evicted[next.Key]:
		return resources
	case existing == 0 || b.evicted[next.Key]:
		if e.admits(next.Key, objects) {
			return resources
		}
		b.waiting[next.Key] = waitingService{objects: objects}
		next.findings = mesh.AddFinding(next.findings, mesh.TooManyObjects, "",
			fmt.Sprintf("the service has %d objects and waits: %s", objects, b.limits(next.Key.Source)), objects)
		return mesh.Resources{Broken: resources.Broken}
	case b.fits(next.Key.Source, objects-existing, 100):
		return resources
	}
	resources, left := e.trim(next.name, resources, b.free(next.Key.Source, 100))
	b.waiting[next.Key] = waitingService{objects: left, growing: true}
	next.findings = mesh.AddFinding(next.findings, mesh.TooManyObjects, "",
		fmt.Sprintf("%d new objects of the service wait: %s", left, b.limits(next.Key.Source)), left)
	return resources
}

func (b *objectBudget) limits(source string) string {
	return fmt.Sprintf("%d of %d objects exist, %d of %d for the source (limits.objects, limits.objectsPerSource)",
		b.total, b.Objects, b.bySource[source], b.ObjectsPerSource)
}

// sizeOf returns the number of objects of resources.
func sizeOf(resources mesh.Resources) int {
	objects := len(resources.Objects)
	for _, host := range resources.TagHosts {
		objects += len(host.Objects)
	}
	return objects
}

// existing returns the number of objects that a service has, under its earlier name too.
func (e *Engine) existing(known *serviceState, name mesh.Name, resources mesh.Resources) int {
	state := e.byName[name]
	objects := state.objects()
	if known != nil && known.name != name {
		objects += e.ownObjects(known.name, known.Key)
	}
	for _, host := range resources.TagHosts {
		of := e.byName[name.OfTag(host.Tag)]
		objects += of.objects()
	}
	return objects
}

// ownObjects returns the number of objects of a name if they are those of the service.
func (e *Engine) ownObjects(name mesh.Name, owner catalog.Key) int {
	if state := e.byName[name]; state.owner == owner {
		return state.objects()
	}
	return 0
}

// trim leaves out new WorkloadEntries and hosts of tags above the number of free objects. It returns how many it left out.
func (e *Engine) trim(name mesh.Name, resources mesh.Resources, free int) (_ mesh.Resources, left int) {
	type id struct{ namespace, name string }
	state := e.byName[name]
	existing := map[id]bool{}
	for _, object := range state.current() {
		if object.Kind == mesh.WorkloadEntryKind {
			existing[id{object.Namespace, object.Name}] = true
		}
	}
	excess := func(isNew bool, objects int) bool {
		switch {
		case !isNew:
			return false
		case objects > free:
			left += objects
			return true
		}
		free -= objects
		return false
	}
	resources.Objects = slices.DeleteFunc(slices.Clone(resources.Objects), func(o mesh.Object) bool {
		return o.Kind == mesh.WorkloadEntryKind && excess(!existing[id{o.Namespace, o.Name}], 1)
	})
	resources.TagHosts = slices.DeleteFunc(slices.Clone(resources.TagHosts), func(h mesh.TagHost) bool {
		of := e.byName[name.OfTag(h.Tag)]
		return excess(of.objects() == 0, len(h.Objects))
	})
	return resources, left
}

// admitWaiting translates the services that wait, the smallest first, if objects have left.
func (e *Engine) admitWaiting() {
	b := &e.budget
	if b.freed && len(b.waiting) > 0 {
		for _, key := range slices.SortedFunc(maps.Keys(b.waiting), e.compareWaiting) {
			w := b.waiting[key]
			if w.growing && b.free(key.Source, 100) > 0 || !w.growing && e.admits(key, w.objects) {
				e.retranslate(key, e.now())
			}
		}
	}
	b.freed = false
	e.metrics.objects(b)
}

// compareWaiting orders services that wait: those of the last known good, then the smallest.
func (e *Engine) compareWaiting(a, other catalog.Key) int {
	rank := func(key catalog.Key) int {
		if e.budget.known[e.knownKey(key)] {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a), rank(other)),
		cmp.Compare(e.budget.waiting[a].objects, e.budget.waiting[other].objects), a.Compare(other))
}

// knownKey returns the key of a service in objectBudget.known: that of its group, in lower case.
func (e *Engine) knownKey(key catalog.Key) catalog.Key {
	return catalog.Key{Source: cmp.Or(e.merger.groups[key.Source], key.Source), Name: strings.ToLower(key.Name)}
}

// setKnown records the services of the last known good or of the leader.
func (e *Engine) setKnown(services []catalog.Service) {
	e.budget.known = make(map[catalog.Key]bool, len(services))
	for _, service := range services {
		e.budget.known[e.knownKey(service.Key)] = true
	}
}

// rebaseBudget gives the services that the leader has precedence over those that only this replica has. Another order of
// reports may have led to another choice.
func (e *Engine) rebaseBudget(services []catalog.Service) {
	b := &e.budget
	e.setKnown(services)
	for _, key := range slices.SortedFunc(maps.Keys(b.waiting), e.compareWaiting) {
		w := b.waiting[key]
		if w.growing || !b.known[e.knownKey(key)] {
			continue
		}
		for _, other := range e.replaceable(key.Source) {
			if b.fits(key.Source, w.objects, 100) {
				break
			}
			b.evicted[other] = true
			e.retranslate(other, e.now())
			delete(b.evicted, other)
		}
		e.retranslate(key, e.now())
	}
}

// replaceable returns the services that have objects and that the leader does not have, the largest first.
func (e *Engine) replaceable(source string) []catalog.Key {
	var keys []catalog.Key
	objects := map[catalog.Key]int{}
	for key, service := range e.services {
		if key.Source != source && e.budget.ObjectsPerSource > 0 || e.budget.known[e.knownKey(key)] {
			continue
		}
		if objects[key] = e.ownObjects(service.name, key); objects[key] > 0 {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b catalog.Key) int { return cmp.Or(cmp.Compare(objects[b], objects[a]), a.Compare(b)) })
	return keys
}
