package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// withBudget returns options with a limit of objects.
func withBudget(objects int) Options {
	return Options{Rules: Rules{Mesh: meshOptions()}, Budget: Budget{Objects: objects}}
}

// sized returns a service of so many objects: a ServiceEntry, and a WorkloadEntry for each instance.
func sized(name string, objects int) catalog.Service {
	var ids []string
	for i := range objects - 1 {
		ids = append(ids, fmt.Sprint(i))
	}
	return reported("consul", name, ids...)
}

// objects returns the number of objects of each service.
func (o *fakeOutput) objects() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	objects := map[string]int{}
	for name, held := range o.held {
		objects[name.Label] = len(held)
	}
	return objects
}

// waitingObjects returns the reader of the number of objects that wait.
func waitingObjects(e *Engine) func() int {
	return func() int {
		e.mu.RLock()
		defer e.mu.RUnlock()
		waiting := 0
		for _, service := range e.services {
			for _, finding := range service.findings {
				if finding.Reason == mesh.TooManyObjects {
					waiting += finding.Count
				}
			}
		}
		return waiting
	}
}

// TestObjectsAboveTheBudget verifies: above the budget, new services wait, the smallest come first when there is room, and
// an existing service keeps its objects and gets as many as fit.
func TestObjectsAboveTheBudget(t *testing.T) {
	source, out := newFakeSource("consul"), newFakeOutput()
	e := startWith(t, withBudget(40), out, source)
	source.report(sized("a", 3), sized("b", 5))
	source.sync()
	eventually(t, map[string]int{"a": 3, "b": 5}, out.objects)
	source.report(sized("huge", 100), sized("large", 30), sized("small", 2))
	eventually(t, map[string]int{"a": 3, "b": 5, "small": 2}, out.objects)
	eventually(t, 130, waitingObjects(e))

	source.report(sized("b", 50)) // grows to the whole budget
	eventually(t, map[string]int{"a": 3, "b": 35, "small": 2}, out.objects)
	eventually(t, 145, waitingObjects(e))
	source.report(sized("late", 2))
	eventually(t, 147, waitingObjects(e))
	source.report(reported("consul", "a", "0", "9")) // one instance is replaced
	eventually(t, map[string]int{"a": 3, "b": 35, "small": 2}, out.objects)

	source.report(sized("b", 2))
	eventually(t, map[string]int{"a": 3, "b": 2, "small": 2, "late": 2}, out.objects)
	source.report(reported("consul", "large"), sized("larger", 29), sized("medium", 20))
	eventually(t, map[string]int{"a": 3, "b": 2, "small": 2, "late": 2, "medium": 20}, out.objects)
	source.report(reported("consul", "a"), reported("consul", "b"), reported("consul", "small"), reported("consul", "late"), reported("consul", "medium"))
	eventually(t, map[string]int{"larger": 29}, out.objects)
	source.report(reported("consul", "huge"))
	eventually(t, 0, waitingObjects(e))
}

// TestBudgetOfASource verifies that one source cannot use the objects of another one.
func TestBudgetOfASource(t *testing.T) {
	source, other, out := newFakeSource("consul"), newFakeSource("east"), newFakeOutput()
	options := withBudget(100)
	options.Budget.ObjectsPerSource = 20
	startWith(t, options, out, source, other)
	source.sync()
	other.sync()
	source.report(sized("huge", 30), sized("a", 10), sized("late", 10))
	other.report(reported("east", "web", "1"))
	eventually(t, 2, func() int { return len(out.objects()) })
	eventually(t, 2, func() int { return out.objects()["web"] })
}

// TestChoiceIsDeterministic verifies that a start without a last known good makes the same choice in each order of reports,
// and that it has the smallest services.
func TestChoiceIsDeterministic(t *testing.T) {
	want := map[string]int{}
	for i := 2; i < 14; i++ { // together 90 of the 180 objects for new services
		want[fmt.Sprint("s", i)] = i
	}
	for seed := range uint64(20) {
		source, out := newFakeSource("consul"), newFakeOutput()
		e, stop := startStoppable(t, withBudget(200), out, source)
		var all []catalog.Service
		for i := 2; i < 14; i++ {
			all = append(all, sized(fmt.Sprint("s", i), i))
		}
		all = append(all, sized("x1", 95), sized("x2", 120))
		random := rand.New(rand.NewPCG(seed, 0))
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, service := range all {
			source.report(service)
		}
		source.sync()
		eventually(t, true, e.Complete)
		eventually(t, 215, waitingObjects(e))
		eventually(t, want, out.objects)
		stop()
	}
}

// snapshotStore is a store with a last known good.
type snapshotStore struct {
	nopStore
	snapshot contract.Snapshot
}

func (s snapshotStore) Load(context.Context) (contract.Snapshot, error) { return s.snapshot, nil }

// TestBudgetAfterARestart verifies that a restart above the budget keeps what exists, whatever is reported first.
func TestBudgetAfterARestart(t *testing.T) {
	source, out := newFakeSource("consul"), newFakeOutput()
	options := withBudget(40)
	options.Store = snapshotStore{snapshot: liveSnapshot(nil, sized("z", 20), sized("y", 18), sized("gone", 2))}
	e := startWith(t, options, out, source)
	source.report(sized("a", 2), sized("b", 30))
	source.report(sized("y", 19), sized("z", 20))
	eventually(t, 33, waitingObjects(e)) // a, b, and one of y
	source.sync()
	eventually(t, map[string]int{"z": 20, "y": 19}, out.objects)
	eventually(t, 32, waitingObjects(e))
}

// TestBudgetAfterATakeover verifies that a replica that takes over has the services of the previous leader, although other
// services came first here.
func TestBudgetAfterATakeover(t *testing.T) {
	source, out := newFakeSource("consul"), newFakeOutput()
	e := startWith(t, withBudget(40), out, source)
	source.sync()
	source.report(sized("a", 4), sized("here", 28))
	eventually(t, map[string]int{"a": 4, "here": 28}, out.objects)
	source.report(sized("there", 30))
	eventually(t, 30, waitingObjects(e))
	e.TakeOver(t.Context(), liveSnapshot(nil, sized("a", 4), sized("there", 30)))
	eventually(t, map[string]int{"a": 4, "there": 30}, out.objects)
	eventually(t, 28, waitingObjects(e))
	if names := e.Names(); !slices.Contains(names, mesh.Name{Source: "consul", Label: "there"}) {
		t.Errorf("the names are %v", names)
	}
}
