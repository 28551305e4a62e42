package engine

import (
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// workloads returns the number of WorkloadEntries of a name, and the registered name of its service.
func workloads(e *Engine, label string) (count int, registered string) {
	objects := e.Desired(mesh.Name{Source: "consul", Label: label}).Objects
	for _, object := range objects {
		if object.Kind == mesh.WorkloadEntryKind {
			count++
		}
	}
	return count, mesh.RegisteredName(objects)
}

// TestNamesIgnoreCase verifies that names which differ in case only are one service, whatever comes and goes.
func TestNamesIgnoreCase(t *testing.T) {
	e := idleEngine(nil)
	expect := func(wantCount int, wantName string) {
		t.Helper()
		if count, name := workloads(e, "telegraf"); count != wantCount || name != wantName {
			t.Errorf("%d instances of %q, want %d of %q", count, name, wantCount, wantName)
		}
		if wantCount == 0 && len(e.services)+len(e.byName)+len(e.merger.merged) > 0 || wantCount > 0 && len(e.services) != 1 {
			t.Errorf("services %v, names %v", e.services, e.byName)
		}
	}
	e.handle(oneUpdate(reported("consul", "Telegraf", "1", "2")))
	expect(2, "Telegraf")
	e.handle(oneUpdate(reported("consul", "telegraf", "3", "4")))
	expect(4, "telegraf")
	e.handleSynced("consul", true)
	e.handle(oneUpdate(reported("consul", "TELEGRAF", "5")))
	expect(5, "telegraf")
	e.handle(oneUpdate(reported("consul", "telegraf")))
	expect(3, "TELEGRAF")
	e.handle(oneUpdate(reported("consul", "TELEGRAF")))
	expect(2, "Telegraf")
	// An instance changes the case of its service's name: until the old name is reported anew, it is in both reports.
	moved := reported("consul", "telegraf", "1")
	moved.Instances[0].Modified = 9
	e.handle(oneUpdate(moved))
	expect(2, "telegraf")
	e.handle(oneUpdate(reported("consul", "telegraf")))
	e.handle(oneUpdate(reported("consul", "Telegraf")))
	expect(0, "")
}

// TestNamesOutliveARestart verifies that a service keeps its name across a restart and a change of the leader.
func TestNamesOutliveARestart(t *testing.T) {
	names := map[catalog.Key]mesh.Name{}
	live := map[mesh.Name][]mesh.Object{}
	e := idleEngine(nil)
	e.options.Store = nameStore{names: names}
	e.handle(oneUpdate(reported("consul", "payment_service", "1")))
	e.handleSynced("consul", true)
	e.handle(oneUpdate(reported("consul", "payment-service", "2")))
	newcomer := ""
	for _, name := range e.Names() {
		live[name] = e.Desired(name).Objects
		if name.Label != "payment-service" {
			newcomer = name.Label
		}
	}
	for way, snapshot := range map[string]contract.Snapshot{"store": {Names: names}, "live objects": {Live: live}} {
		e := idleEngine(nil)
		e.restoreNames(snapshot)
		e.handle(oneUpdate(reported("consul", "payment-service", "2")))
		e.handle(oneUpdate(reported("consul", "payment_service", "1")))
		e.handleSynced("consul", true)
		if _, name := workloads(e, "payment-service"); name != "payment_service" {
			t.Errorf("%s: the host belongs to %q", way, name)
		}
		if _, name := workloads(e, newcomer); name != "payment-service" {
			t.Errorf("%s: %s belongs to %q", way, newcomer, name)
		}
	}
	standby := idleEngine(nil) // it has seen the newcomer first
	standby.handle(oneUpdate(reported("consul", "payment-service", "2")))
	standby.handleSynced("consul", true)
	standby.handle(oneUpdate(reported("consul", "payment_service", "1")))
	standby.handleHandover(handover{Snapshot: contract.Snapshot{Live: live}, done: make(chan struct{})})
	if _, name := workloads(standby, "payment-service"); name != "payment_service" {
		t.Errorf("the new leader gives the host to %q", name)
	}
	for _, name := range []string{"payment_service", "payment-service"} {
		e.handle(oneUpdate(reported("consul", name)))
	}
	if len(names) > 0 {
		t.Errorf("names of removed services are kept: %v", names)
	}
}

// nameStore stores names only.
type nameStore struct {
	nopStore
	names map[catalog.Key]mesh.Name
}

func (s nameStore) Save(change contract.Change) {
	for key, name := range change.Names {
		if s.names[key] = name; name == (mesh.Name{}) {
			delete(s.names, key)
		}
	}
}
