package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/engine"
	"github.com/isthmus-mesh/isthmus/test/testbed/faults"
)

// TestTakeoverWithoutConsul verifies the behavior of a replica that cannot reach Consul, and leads because the leader
// was killed. It removes no object that it never read, and restores no object that was removed. It leaves all objects
// unchanged until it reaches Consul again, and then writes only the changes.
func TestTakeoverWithoutConsul(t *testing.T) {
	for name, cut := range map[string]func(*faults.Wire) (restore func()){
		"refused": func(w *faults.Wire) func() {
			w.Cut()
			return w.Restore
		},
		"silent": func(w *faults.Wire) func() {
			heal := w.Poison("timeout", map[string]int64{"timeout": 0})
			return func() { // data sent in the meantime is lost, and the connections with it
				heal()
				w.Cut()
				w.Restore()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newHarness(t)
			w.register(t, fleet()...)
			leader := w.startReplica(t)
			w.awaitWorkloads(t, 2*fleetSize)
			wire := faults.NewWire(t, w.consul.Address)
			config := filepath.Join(t.TempDir(), "isthmus.yaml")
			content := "kubernetes: {leaderElection: {leaseDuration: 4s, renewDeadline: 3s, retryPeriod: 500ms}}\n"
			if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			standby, err := w.run.StartIsthmus(nil, w.kube, "--namespace", namespace, "--config", config, "--consul-addr", wire.Address())
			if err != nil {
				t.Fatal(err)
			}
			awaitMetric(t, standby, "isthmus_services", fleetSize)
			if err := standby.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}

			restore := cut(wire)
			for n := range 3 {
				w.register(t, instance{service: fmt.Sprint("late-", n), id: fmt.Sprint("late-", n), address: "10.9.1.1", port: 8080})
			}
			w.deregister(t, fleet()[0])
			w.awaitWorkloads(t, 2*fleetSize+3-1)
			if err := leader.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			before := w.applied(t)
			awaitMetric(t, standby, "isthmus_leader", 1)
			awaitText(t, standby.Log, engine.MessageQuarantined)
			if err := standby.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.awaitWorkloads(t, 2*fleetSize+3-1)

			restore()
			w.register(t, instance{service: "last", id: "last", address: "10.9.1.2", port: 8080})
			w.awaitWorkloads(t, 2*fleetSize+3-1+1)
			awaitMetric(t, standby, "isthmus_held_instances", 0)
			if writes := w.applied(t) - before; writes != 2 {
				t.Errorf("%d writes, not one for each object of the new service", writes)
			}
		})
	}
}
