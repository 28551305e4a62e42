package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	isthmusd "github.com/isthmus-mesh/isthmus/internal/daemon"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestSelectionAndPlacement verifies that the configuration selects services and their namespaces, and that a change of
// the file takes effect while the daemon runs.
func TestSelectionAndPlacement(t *testing.T) {
	w := newHarness(t)
	web, hidden, moved := atPort("web", 1), atPort("hidden-db", 2), atPort("payment-api", 3)
	warning := atPort("web", 4)
	warning.id, warning.health = "web-warning", "warning"
	w.register(t, web, hidden, moved, warning)
	file := configFile(t, `
sources: [{services: {exclude: ["hidden-*"]}}]
mesh:
  rules: [{services: ["payment-*"], namespace: payments}]
`)
	daemon, err := w.run.StartIsthmus(w.consul, w.kube, "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitPlaces(t, map[string]string{"web": "consul-services 2", "payment-api": "payments 1"})

	rewrite(t, file, `
sources: [{services: {exclude: ["payment-*"]}}]
mesh:
  health: passing
  rules: [{services: [web], namespace: payments, exportTo: ["."]}]
log: {format: json}
`)
	w.awaitPlaces(t, map[string]string{"web": "payments 1", "hidden-db": "consul-services 1"})
	awaitText(t, daemon.Log, isthmusd.MsgRestartNeeded)
	told(t, daemon.Log(), "entries=\"[sources[0].services.exclude mesh.health mesh.rules]\" pending=[log.format]", 1)

	rewrite(t, file, "mesh: {health: perfect}")
	awaitText(t, daemon.Log, isthmusd.MsgConfigRejected)
	late := atPort("payment-late", 5)
	w.register(t, late, atPort("late", 6)) // still excluded by the previous configuration
	w.awaitPlaces(t, map[string]string{"web": "payments 1", "hidden-db": "consul-services 1", "late": "consul-services 1"})
	told(t, daemon.Log(), isthmusd.MsgConfigRejected, 1)

	// The file loses most of its entries, so it is applied only if it is replaced, not if it is written in place.
	rewrite(t, file+".next", "")
	if err := os.Rename(file+".next", file); err != nil {
		t.Fatal(err)
	}
	w.awaitPlaces(t, map[string]string{
		"web": "consul-services 2", "hidden-db": "consul-services 1", "late": "consul-services 1",
		"payment-api": "consul-services 1", "payment-late": "consul-services 1",
	})
}

// TestWrongFilter verifies that a filter that Consul rejects ends the start with one line.
func TestWrongFilter(t *testing.T) {
	w := newHarness(t)
	daemon, err := w.run.StartIsthmus(w.consul, w.kube, "--output", "stdout", "--config",
		configFile(t, `sources: [{services: {filter: Service.Meta.team = blue}}]`))
	if err != nil {
		t.Fatal(err)
	}
	<-daemon.Done()
	told(t, daemon.Log(), "isthmus: source consul: services.filter", 1)
	told(t, daemon.Log(), `"Service.Meta.team = blue"`, 1)
	told(t, daemon.Log(), "level=WARN", 0)
}

func atPort(service string, n int) instance {
	return instance{service: service, id: service, address: fmt.Sprint("10.7.0.", n), port: 8080}
}

func configFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "isthmus.yaml")
	rewrite(t, path, content)
	return path
}

func rewrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(testbed.WithPodRanges("kubernetes: {removalGrace: 0s}\n"+content)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// awaitPlaces waits until exactly these services are in the mesh, each in a namespace with a number of WorkloadEntries.
func (w *harness) awaitPlaces(t *testing.T, want map[string]string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		got := map[string]string{}
		for _, service := range []string{"web", "hidden-db", "payment-api", "payment-late", "late"} {
			for _, in := range []string{"consul-services", "payments"} {
				names, err := w.names(ctx, in, service)
				if err != nil {
					return err
				}
				if len(names) > 0 {
					got[service] += fmt.Sprint(in, " ", len(names)-1)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
}

// told verifies the number of lines of a log that contain a text.
func told(t *testing.T, log, text string, want int) {
	t.Helper()
	got := 0
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			got++
		}
	}
	if got != want {
		t.Errorf("%q is in %d lines, want %d:\n%s", text, got, want, log)
	}
}
