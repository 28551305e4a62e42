package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/internal/engine"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// fleetSize is the number of services, with two instances each, in the tests of the guard.
const fleetSize = 12

func fleet() (all []instance) {
	for n := range 2 * fleetSize {
		name := fmt.Sprintf("fleet-%02d", n/2)
		all = append(all, instance{service: name, id: fmt.Sprint(name, "-", n%2), address: fmt.Sprint("10.9.0.", n+1), port: 8080})
	}
	return all
}

// TestLostCatalog verifies that a Consul that was restored from an old, empty snapshot removes nothing from the mesh:
// not at once, not after a restart of isthmus, and not while new services are registered. The removals take effect when
// an operator releases the hold.
func TestLostCatalog(t *testing.T) {
	w := newHarness(t)
	empty := w.snapshot(t)
	w.register(t, fleet()...)
	daemon := w.startReplica(t)
	w.awaitWorkloads(t, 2*fleetSize)

	w.restore(t, empty)
	awaitMetric(t, daemon, "isthmus_held_instances", 2*fleetSize)
	awaitMetric(t, daemon, "isthmus_held_services", fleetSize)
	w.awaitWorkloads(t, 2*fleetSize)
	awaitText(t, daemon.Log, engine.MessageMassRemoval, "run isthmus release consul")

	daemon.Kill()
	daemon = w.startReplica(t)
	w.register(t, instance{service: "new", id: "new", address: "10.9.1.1", port: 8080})
	w.awaitWorkloads(t, 2*fleetSize+1)
	awaitMetric(t, daemon, "isthmus_held_instances", 2*fleetSize)
	w.awaitWorkloads(t, 2*fleetSize+1)

	out, err := isthmus(t, "release", "consul", "--kubeconfig", w.kube.Kubeconfig, "--namespace", namespace)
	if err != nil || out != "consul: released, 24 instances, 12 services\n" {
		t.Errorf("%q, %v", out, err)
	}
	w.awaitWorkloads(t, 1)
	awaitMetric(t, daemon, "isthmus_held_instances", 0)
}

// TestCatalogComesBack verifies that a hold ends when the registry has all services again.
func TestCatalogComesBack(t *testing.T) {
	w := newHarness(t)
	empty := w.snapshot(t)
	w.register(t, fleet()...)
	full := w.snapshot(t)
	daemon := w.startReplica(t)
	w.awaitWorkloads(t, 2*fleetSize)

	w.restore(t, empty)
	awaitMetric(t, daemon, "isthmus_held_instances", 2*fleetSize)
	w.restore(t, full)
	awaitMetric(t, daemon, "isthmus_held_instances", 0)
	awaitText(t, daemon.Log, "the registry reports everything again")
	w.awaitWorkloads(t, 2*fleetSize)
}

func awaitMetric(t *testing.T, daemon interface {
	Metric(ctx context.Context, name string, labels ...string) (float64, error)
}, name string, want float64,
) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		got, err := daemon.Metric(ctx, name)
		if err != nil || got != want {
			return fmt.Errorf("%s is %v, not %v, %w", name, got, want, err)
		}
		return nil
	})
}

// awaitWorkloads waits until the mesh has a number of WorkloadEntries.
func (w *harness) awaitWorkloads(t *testing.T, want int) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		list, err := w.istio.NetworkingV1().WorkloadEntries(namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(list.Items) != want {
			return fmt.Errorf("%d WorkloadEntries, not %d, %w", len(list.Items), want, err)
		}
		return nil
	})
}

func (w *harness) snapshot(t *testing.T) []byte {
	t.Helper()
	body, _, err := w.consul.Client().Snapshot().Save(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func (w *harness) restore(t *testing.T, snapshot []byte) {
	t.Helper()
	if err := w.consul.Client().Snapshot().Restore(nil, bytes.NewReader(snapshot)); err != nil {
		t.Fatal(err)
	}
}

// isthmus runs a command of isthmus to its end.
func isthmus(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := testbed.Binary(testbed.IsthmusBinary)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	return string(out), err
}
