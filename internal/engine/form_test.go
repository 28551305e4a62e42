package engine

import (
	"net/netip"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// autoOptions returns options with the automatic form and these ranges of pods.
func autoOptions(ranges ...string) mesh.Options {
	options := meshOptions()
	options.Form = mesh.AutoForm
	for _, text := range ranges {
		options.PodRanges = append(options.PodRanges, netip.MustParsePrefix(text))
	}
	return options
}

// at returns the report of a service with an instance at each address.
func at(name string, addresses ...string) catalog.Service {
	service := reported("consul", name, addresses...)
	for i, address := range addresses {
		service.Instances[i].Address = address
	}
	return service
}

// formOf returns a function that returns the form of a service's desired objects.
func formOf(e *Engine, label string) func() mesh.Form {
	return func() mesh.Form {
		objects := e.Desired(mesh.Name{Source: "consul", Label: label}).Objects
		switch {
		case len(objects) == 0:
			return ""
		case objects[0].SelectsWorkloads():
			return mesh.WorkloadEntryForm
		default:
			return mesh.InlineForm
		}
	}
}

// TestFormIsStable verifies that a service keeps inline endpoints when its last pod leaves, also after a restart, and that
// it gets WorkloadEntries when the ranges of the pods change, or after it was gone.
func TestFormIsStable(t *testing.T) {
	const vm, pod = "203.0.113.9", "10.244.1.7"
	store := newFakeStore()
	options := Options{Store: store, Rules: Rules{Mesh: autoOptions("10.244.0.0/16")}}
	source := newFakeSource("consul")
	e, stop := startStoppable(t, options, newFakeOutput(), source)
	report := func(service catalog.Service, want mesh.Form) {
		t.Helper()
		source.report(service)
		eventually(t, want, formOf(e, service.Name))
	}
	report(at("web", vm), mesh.WorkloadEntryForm)
	report(at("db", vm), mesh.WorkloadEntryForm)
	report(at("web", vm, pod), mesh.InlineForm)
	source.report(at("web", vm))
	source.report(at("gone", pod))
	source.sync()
	eventually(t, true, e.Complete)
	eventually(t, mesh.InlineForm, formOf(e, "web"))
	source.report(catalog.Service{Key: catalog.Key{Source: "consul", Name: "gone"}})
	eventually(t, "", formOf(e, "gone"))
	stop()

	source = newFakeSource("consul")
	e = startWith(t, options, newFakeOutput(), source)
	report(at("web", vm), mesh.InlineForm)
	report(at("gone", vm), mesh.WorkloadEntryForm)
	report(at("db", vm, "10.245.1.7"), mesh.WorkloadEntryForm)

	e.SetRules(Rules{Mesh: autoOptions("10.245.0.0/16")})
	eventually(t, mesh.WorkloadEntryForm, formOf(e, "web"))
	eventually(t, mesh.InlineForm, formOf(e, "db"))
	e.SetRules(Rules{Mesh: autoOptions("10.244.0.0/16")})
	eventually(t, mesh.WorkloadEntryForm, formOf(e, "db"))
	eventually(t, mesh.WorkloadEntryForm, formOf(e, "web"))
}

// TestFormOfTheLeader verifies that a replica continues with the forms in the mesh, both at its start and when it takes over.
func TestFormOfTheLeader(t *testing.T) {
	const vm, pod = "203.0.113.9", "10.244.1.7"
	rules := Rules{Mesh: autoOptions("10.244.0.0/16")}
	name := mesh.Name{Source: "consul", Label: "web"}
	withPod, _ := mesh.Translate(at("web", vm, pod), name, rules.Mesh)
	live := map[mesh.Name][]mesh.Object{name: withPod.Objects}
	for _, takesOver := range []bool{false, true} {
		store := liveStore{newFakeStore(), map[mesh.Name][]mesh.Object{}}
		store.partial = true
		if !takesOver {
			store.live = live
		}
		source := newFakeSource("consul")
		e := startWith(t, Options{Store: store, Rules: rules}, newFakeOutput(), source)
		source.report(at("web", vm))
		source.sync()
		eventually(t, true, e.Complete)
		if takesOver {
			eventually(t, mesh.WorkloadEntryForm, formOf(e, "web"))
			e.TakeOver(t.Context(), contract.Snapshot{Live: live})
		}
		eventually(t, mesh.InlineForm, formOf(e, "web"))
	}
}

// TestFormFollowsTheName verifies that the form of a service survives a change of its name in the mesh.
func TestFormFollowsTheName(t *testing.T) {
	e := idleEngine(nil)
	e.options.Mesh = autoOptions("10.244.0.0/16")
	old, next := mesh.Name{Source: "consul", Label: "old"}, mesh.Name{Source: "consul", Label: "new"}
	e.pods[old] = netip.MustParseAddr("10.244.1.7")
	options := e.meshOptions(&serviceState{name: old}, next)
	if options.PodAddress != e.pods[old] {
		t.Errorf("the address is %s", options.PodAddress)
	}
}
