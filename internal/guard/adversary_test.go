package guard_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// adversary is a random sequence of removals of older services and of registrations, removals and flaps of younger ones,
// with restarts and takeovers in between.
type adversary struct {
	*scenario
	random *rand.Rand
	// state are the services in the mesh as a store keeps them.
	state map[string]catalog.Service
	// registry are the instances of each service in the registry.
	registry map[string][]string
	// old are the names of the older services.
	old []string
	// missing are the instances that a mass removal took out of the registry.
	missing map[string][]string
	// removed are single removals, with the times at which they must have been applied.
	removed map[string]time.Time
	// quietAt is the time from which the next removal of an older service is in a window of its own.
	quietAt time.Time
}

// TestAdversary verifies the invariants of the package: younger services neither end nor prevent the hold of older ones, and
// do not delay the removal of one for more than a bounded time.
func TestAdversary(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runAdversary(t, seed) })
	}
}

// FuzzAdversary runs TestAdversary with further seeds.
func FuzzAdversary(f *testing.F) {
	f.Add(uint64(40))
	f.Fuzz(runAdversary)
}

func runAdversary(t *testing.T, seed uint64) {
	a := &adversary{
		scenario: newScenario(t, options()), random: rand.New(rand.NewPCG(seed, 1)),
		state: map[string]catalog.Service{}, registry: map[string][]string{}, removed: map[string]time.Time{},
	}
	// The older services, too, come after the sync. The youngest of them then share a generation with those of the adversary,
	// so only the removal of all of them is sure to be held, and a single one isn't sure to be applied.
	late := seed%3 == 0
	if late {
		a.apply(a.guard.Synced(a.now, true))
	}
	for i := range 5 + a.random.IntN(60) {
		a.old = append(a.old, fmt.Sprint("s", i))
		a.report(a.old[i], []string{"a", "b", "c"}[:1+a.random.IntN(3)])
	}
	if !late {
		a.apply(a.guard.Synced(a.now, true))
	}
	a.quietAt = a.now.Add(2 * time.Minute)
	for range 60 {
		a.step(late)
		a.check()
	}
}

// step runs one random step.
func (a *adversary) step(late bool) {
	a.wait(time.Duration(a.random.IntN(90)) * time.Second)
	switch a.random.IntN(12) {
	case 0:
		if a.missing == nil && !a.now.Before(a.quietAt) {
			a.removeMany(late)
		}
	case 1:
		a.bringBack()
	case 2, 3:
		if !late && !a.now.Before(a.quietAt) {
			a.removeOne()
		}
	case 4:
		a.restart()
	case 5:
		if a.oneRemoval() {
			a.apply(a.guard.Rebase(a.now, slices.Collect(maps.Values(a.state)), a.hold()))
			a.postpone()
		}
	case 6:
		a.wait(time.Duration(a.random.IntN(20)) * time.Minute)
	default:
		a.attack()
	}
}

// attack adds, removes or flaps younger services.
func (a *adversary) attack() {
	n := 1 + a.random.IntN(150)
	instances := []string{"a", "b", "c", "d", "e", "f", "g", "h"}[:1+a.random.IntN(8)]
	for range 1 + a.random.IntN(3) {
		kind := a.random.IntN(3)
		for i := range n {
			name := fmt.Sprint("x", i)
			switch kind {
			case 0:
				a.report(name, instances)
			case 1:
				a.report(name, nil)
			default:
				a.report(name, instances[:a.random.IntN(len(instances))])
			}
		}
		a.wait(time.Duration(a.random.IntN(5)) * time.Second)
	}
}

// removeMany removes more than a tenth of the older services, or all of them, in one window.
func (a *adversary) removeMany(all bool) {
	serving := slices.DeleteFunc(slices.Clone(a.old), func(name string) bool { return len(a.registry[name]) == 0 })
	n := len(serving)
	if least := max(2, n/10+1); !all && n > least {
		n = least + a.random.IntN(n-least)
	}
	if n < 2 {
		return
	}
	a.random.Shuffle(len(serving), func(i, j int) { serving[i], serving[j] = serving[j], serving[i] })
	a.missing = map[string][]string{}
	for _, name := range serving[:n] {
		a.missing[name] = a.registry[name]
		a.report(name, nil)
		if a.random.IntN(4) == 0 {
			a.attackOne()
		}
	}
	a.quietAt = a.now.Add(2*time.Minute + time.Second)
}

// attackOne changes one younger service.
func (a *adversary) attackOne() {
	a.report(fmt.Sprint("x", a.random.IntN(150)), []string{"a"}[:a.random.IntN(2)])
}

// bringBack lets the registry report the missing services again.
func (a *adversary) bringBack() {
	for name, instances := range a.missing {
		a.report(name, instances)
	}
	a.missing = nil
	a.quietAt = a.now.Add(2*time.Minute + time.Second)
}

// removeOne removes one older service.
func (a *adversary) removeOne() {
	name := a.old[a.random.IntN(len(a.old))]
	if len(a.registry[name]) == 0 {
		return
	}
	a.report(name, nil)
	a.removed[name] = a.now.Add(bound)
	a.quietAt = a.now.Add(2*time.Minute + time.Second)
}

// bound is the time within which a single removal applies.
const bound = 2*time.Minute + 10*time.Minute

// restart replaces the guard by a new one with the last known good.
func (a *adversary) restart() {
	if !a.oneRemoval() {
		return
	}
	hold := a.hold()
	a.guard = guard.New(options())
	a.guard.Restore(slices.Collect(maps.Values(a.state)), hold)
	for _, name := range slices.Sorted(maps.Keys(a.registry)) {
		if len(a.registry[name]) > 0 {
			a.apply(a.guard.Report(a.now, service(append([]string{name}, a.registry[name]...)...)))
		}
	}
	a.apply(a.guard.Synced(a.now, true))
	a.postpone()
}

// oneRemoval reports whether all missing services are of one removal. A restart and a takeover make one of several.
func (a *adversary) oneRemoval() bool {
	return len(a.missing) == 0 && len(a.removed) <= 1 || len(a.removed) == 0
}

// postpone begins the times of the single removals again.
func (a *adversary) postpone() {
	for name := range a.removed {
		a.removed[name] = a.now.Add(bound)
	}
	a.quietAt = a.now.Add(2*time.Minute + time.Second)
}

func (a *adversary) hold() guard.Hold {
	hold, _ := a.guard.Hold()
	return hold
}

// wait lets time pass, with a tick whenever one is due.
func (a *adversary) wait(d time.Duration) {
	end := a.now.Add(d)
	for {
		released, next := a.guard.Tick(a.now)
		a.apply(released)
		if next.IsZero() || !next.Before(end) {
			break
		}
		if !next.After(a.now) {
			a.t.Fatalf("at %s, the next tick is at %s", a.now, next)
		}
		a.now = next
	}
	a.now = end
	released, _ := a.guard.Tick(a.now)
	a.apply(released)
}

func (a *adversary) report(name string, instances []string) {
	a.registry[name] = instances
	a.apply(a.guard.Report(a.now, service(append([]string{name}, instances...)...)))
}

func (a *adversary) apply(changed []catalog.Service) {
	a.take(changed)
	for _, s := range changed {
		if a.state[s.Name] = s; len(s.Instances) == 0 {
			delete(a.state, s.Name)
		}
	}
}

// check verifies the invariants.
func (a *adversary) check() {
	a.t.Helper()
	for name, instances := range a.missing {
		if got := a.mesh[name]; got != strings.Join(instances, " ") {
			a.t.Fatalf("%s of a mass removal of %d services: the mesh has %q, want %q", name, len(a.missing), got, instances)
		}
	}
	for name, at := range a.removed {
		if a.now.Before(at) {
			continue // it may come back until then
		}
		if delete(a.removed, name); a.mesh[name] != "" {
			a.t.Fatalf("the removal of %s isn't applied within %s", name, bound)
		}
	}
	for name, instances := range a.registry {
		for _, instance := range instances {
			if !slices.Contains(strings.Fields(a.mesh[name]), instance) {
				a.t.Fatalf("the mesh lacks %s of %s", instance, name)
			}
		}
	}
}
