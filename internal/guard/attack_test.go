package guard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// each returns one step for each of n services; "%d" in the step is their number.
func each(n int, step string) string {
	var script strings.Builder
	for i := range n {
		script.WriteString(strings.ReplaceAll(step, "%d", fmt.Sprint(i)) + "\n")
	}
	return script.String()
}

// TestAttacks verifies that a registrant ends, prevents or extends no hold of others.
func TestAttacks(t *testing.T) {
	forty := each(40, "s%d a b") + "sync\n"
	for name, script := range map[string]string{
		"services that register after a mass removal don't end its hold": forty + each(12, "s%d") + `
			held 24/12` + "\n" + each(200, "x%d a") + `
			+61s
			+1h
			held 24/12
			= s0 a b
			= s11 a b`,
		"services that registered before a mass removal don't prevent the hold": forty + each(400, "x%d a") + "+1000h\n" + each(40, "s%d") + `
			held 80/40
			+1000h
			= s0 a b
			= s39 a b
			held 80/40`,
		"the same within one window after the sync of an empty registry": "sync\n" + each(40, "s%d a b") + each(400, "x%d a") + each(40, "s%d") + `
			held 80/40
			+1000h
			= s0 a b
			= s39 a b`,
		"instances of another service don't prevent the hold of half of all instances": each(40, "s%d a b c") + "x a\nsync\n" +
			"x a " + strings.Join(strings.Fields(each(1000, "b%d")), " ") + "\n+1h\n" + each(40, "s%d a") + `
			held 80/0
			+1000h
			= s0 a b c
			= s39 a b c`,
		"services that flap don't extend the hold of another one": forty + each(30, "x%d a") + "+2m\n" + each(30, "x%d") + `
			s7
			= s7 a b` + "\n" + strings.Repeat("+5s\n"+each(30, "x%d a")+"+3s\n"+each(30, "x%d"), 20) + `
			= s7`,
		"old services that flap don't either": each(40, "s%d a b") + each(30, "x%d a") + "sync\n" + each(30, "x%d") + `
			s7
			= s7 a b` + "\n" + strings.Repeat("+5s\n"+each(30, "x%d a")+"+3s\n"+each(30, "x%d"), 20) + `
			= s7`,
		"a removal before the flapping applies": forty + each(30, "x%d a") + `
			+2m
			s7
			= s7` + "\n" + strings.Repeat("+3s\n"+each(30, "x%d")+"+5s\n"+each(30, "x%d a"), 20) + `
			= s7`,
		"younger services that leave for good hold an older one for ten windows": forty + each(30, "x%d a") + "+2m\n" + each(30, "x%d") + `
			s7
			= s7 a b
			held 32/31
			+9m
			= s7 a b
			+61s
			= s7
			held 30/30`,
		"younger services that return one by one don't extend that": forty + each(30, "x%d a") + "+2m\n" + each(30, "x%d") + "s7\n" +
			each(10, "+61s\nx%d a") + `
			= s7`,
		"a removal in a later window is judged by itself": forty + each(12, "s%d") + `
			held 24/12
			+61s
			s20
			= s20
			s21
			= s21
			held 24/12
			s22
			= s22 a b
			= s21 a b
			= s20 a b
			held 30/15`,
		"the end of one hold doesn't end another one": forty + each(12, "s%d") + "+61s\n" + each(8, "s3%d") + `
			held 40/20
			+1m` + "\n" + each(12, "s%d a b") + `
			held 16/8
			+1000h
			= s30 a b
			= s37 a b`,
		"the removals of a window still count when the hold of the window before ends": forty + each(12, "s%d") + "+50s\n" + each(11, "s%d a b") + `
			held 2/1
			+59s
			s20
			s21
			s22
			= s20
			+2s
			= s11
			held
			s23
			= s20 a b
			= s23 a b
			held 8/4`,
	} {
		t.Run(name, func(t *testing.T) { newScenario(t, options()).run(script) })
	}
}

// TestGenerationsSurvive verifies that services that registered late don't count for older ones after a restart either.
func TestGenerationsSurvive(t *testing.T) {
	w := newScenario(t, options())
	services := map[string]catalog.Service{}
	take := func(changed []catalog.Service) {
		w.take(changed)
		for _, s := range changed {
			if services[s.Name] = s; len(s.Instances) == 0 {
				delete(services, s.Name)
			}
		}
	}
	report := func(count int, name string, instances ...string) {
		for i := range count {
			take(w.guard.Report(w.now, service(append([]string{fmt.Sprint(name, i)}, instances...)...)))
		}
	}
	restart := func(hold guard.Hold) {
		w.guard = guard.New(options())
		var known []catalog.Service
		for _, s := range services {
			known = append(known, s)
		}
		w.guard.Restore(known, hold)
	}
	report(40, "s", "a", "b")
	take(w.guard.Synced(w.now, true))
	report(400, "x", "a")
	restart(guard.Hold{})
	report(40, "s", "a", "b")
	report(400, "x", "a")
	report(400, "y", "a") // registered while isthmus was not running
	take(w.guard.Synced(w.now, true))
	report(12, "s")
	w.run("held 24/12")
	hold, _ := w.guard.Hold()
	restart(hold)
	for i := range 28 {
		take(w.guard.Report(w.now, service(fmt.Sprint("s", i+12), "a", "b")))
	}
	report(400, "x", "a")
	report(400, "y", "a")
	take(w.guard.Synced(w.now, true))
	w.run("held 24/12\n+1000h\nheld 24/12\n= s0 a b")
}

// TestHeldNodes verifies that a hold names the nodes of all held instances, if they are few and others serve.
func TestHeldNodes(t *testing.T) {
	for name, c := range map[string]struct {
		nodes, lost int
		want        []string
	}{
		"one node":       {9, 1, []string{"n0"}},
		"three nodes":    {9, 3, []string{"n0", "n1", "n2"}},
		"four nodes":     {9, 4, nil},
		"the only node":  {1, 1, nil},
		"all of 3 nodes": {3, 3, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newScenario(t, options())
			for i := range 60 {
				s := service(fmt.Sprint("s", i), "a")
				s.Instances[0].ID.Node = fmt.Sprint("n", i%c.nodes)
				w.take(w.guard.Report(w.now, s))
			}
			w.run("sync")
			for i := range 60 {
				if i%c.nodes < c.lost {
					w.run(fmt.Sprint("s", i))
				}
			}
			hold, held := w.guard.Hold()
			if got := strings.Join(hold.Nodes, " "); !held || got != strings.Join(c.want, " ") {
				t.Errorf("held: %v, nodes %q, want %q", held, got, c.want)
			}
		})
	}
}
