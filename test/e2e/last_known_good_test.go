package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/isthmus-mesh/isthmus/internal/engine"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestStartWithoutConsul verifies that isthmus is ready while Consul is down, and that all objects stay as they are.
func TestStartWithoutConsul(t *testing.T) {
	w := newHarness(t)
	w.register(t, fleet()...)
	daemon := w.startReplica(t)
	w.awaitWorkloads(t, 2*fleetSize)
	daemon.Kill()
	w.consul.Kill()
	before := w.applied(t)
	daemon = w.startReplica(t)
	if err := daemon.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitText(t, daemon.Log, engine.MessageRestored, "services=12")
	w.awaitWorkloads(t, 2*fleetSize)
	if writes := w.applied(t) - before; writes != 0 {
		t.Errorf("%d writes", writes)
	}
	// A -dev agent restarts with an empty catalog.
	if err := w.consul.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitMetric(t, daemon, "isthmus_held_services", fleetSize)
	w.awaitWorkloads(t, 2*fleetSize)
}

// TestStartWithoutConsulAndKubernetes verifies the same with a state file, and that holds survive the restart.
func TestStartWithoutConsulAndKubernetes(t *testing.T) {
	w := newHarness(t)
	w.register(t, fleet()...)
	stateFile := filepath.Join(t.TempDir(), "state")
	daemon := w.startFolder(t, stateFile)
	if err := daemon.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	daemon.Stop()

	w.consul.Kill()
	daemon = w.startFolder(t, stateFile)
	if err := daemon.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitText(t, daemon.Log, engine.MessageRestored)
	awaitFiles(t, daemon, fleetSize)
	if err := w.consul.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitMetric(t, daemon, "isthmus_last_known_good_timestamp_seconds", 0)
	awaitMetric(t, daemon, "isthmus_held_services", fleetSize)
	daemon.Stop()
	daemon = w.startFolder(t, stateFile)
	awaitMetric(t, daemon, "isthmus_held_services", fleetSize)
	awaitFiles(t, daemon, fleetSize)
	if out, err := isthmus(t, "release", "consul", "--state-file", stateFile); err != nil || !strings.Contains(out, "12 services") {
		t.Errorf("%q, %v", out, err)
	}
	awaitFiles(t, daemon, 0)
}

// folderDaemon is an isthmus that writes files.
type folderDaemon struct {
	*testbed.Isthmus
	root string
}

func (w *harness) startFolder(t *testing.T, stateFile string) folderDaemon {
	t.Helper()
	root := t.TempDir()
	daemon, err := w.run.StartIsthmus(w.consul, w.kube, "--output", "dir="+root, "--state-file", stateFile)
	if err != nil {
		t.Fatal(err)
	}
	return folderDaemon{daemon, root}
}

func awaitFiles(t *testing.T, daemon folderDaemon, want int) {
	t.Helper()
	eventually(t, func(context.Context) error {
		files, err := filepath.Glob(filepath.Join(daemon.root, "*", "*.yaml"))
		if err != nil || len(files) != want {
			return fmt.Errorf("%d files, not %d, %w", len(files), want, err)
		}
		return nil
	})
}

// TestNamesWithoutConsul verifies that isthmus answers DNS from the objects in Kubernetes while Consul is down at its
// start: names of existing services get answers, and unknown names get none, because they may be new. When Consul is
// back, all names get answers.
func TestNamesWithoutConsul(t *testing.T) {
	w := newHarness(t)
	const lease = "kubernetes: {leaderElection: {leaseDuration: 4s, renewDeadline: 3s, retryPeriod: 500ms}}\n"
	server := w.startNames(t, lease+"mesh: {hosts: ['{{ .Name }}']}", "--namespace", namespace)
	w.register(t, fleet()...)
	w.awaitWorkloads(t, 2*fleetSize)
	i := fleet()[0]
	address := w.address(t, i)
	reverse, err := dns.ReverseAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	known := func() {
		t.Helper()
		for _, host := range []string{i.host(), i.service} {
			awaitAnswer(t, server, host+".", dns.TypeA, "NOERROR", fmt.Sprint(host, ". A ", address))
		}
		awaitAnswer(t, server, reverse, dns.TypePTR, "NOERROR", reverse+" PTR "+i.host()+".")
	}
	known()
	awaitAnswer(t, server, "unknown.service.consul.", dns.TypeA, "NXDOMAIN")
	w.isthmus.Kill()
	w.consul.Kill()
	if err := w.isthmus.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := w.isthmus.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	known()
	awaitAnswer(t, server, "unknown.service.consul.", dns.TypeA, "SERVFAIL")

	if err := w.consul.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.register(t, fleet()...)
	awaitAnswer(t, server, "unknown.service.consul.", dns.TypeA, "NXDOMAIN")
	known()
}
