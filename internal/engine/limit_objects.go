package engine

import (
	"fmt"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// admits reports whether a new service with so many objects is within the budget.
func (e *Engine) admits(key catalog.Key, objects int) bool {
	switch b := &e.budget; {
	case b.evicted[key]:
		return false
	case b.known[e.merger.keyOf(key)]:
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
