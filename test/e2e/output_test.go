package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestStdout verifies that a dry run prints all objects once, and then one document for each object that changes.
func TestStdout(t *testing.T) {
	w := newHarness(t)
	i := instance{service: "web", id: "web", address: "10.0.0.5", port: 8080, meta: map[string]string{"version": "v1"}}
	w.register(t, i)
	daemon := w.startOutput(t, "stdout")
	awaitText(t, daemon.Log, "kind: ServiceEntry", "kind: WorkloadEntry", "version: v1")
	before := len(documents(daemon.Log()))
	i.meta["version"] = "v2"
	w.register(t, i)
	awaitText(t, daemon.Log, "version: v2")
	if documents := len(documents(daemon.Log())) - before; documents != 1 {
		t.Errorf("one change printed %d documents:\n%s", documents, daemon.Log())
	}
}

// TestFolder verifies that a folder has one file for each service, and none for a removed service.
func TestFolder(t *testing.T) {
	w := newHarness(t)
	i := instance{service: "web", id: "web", address: "10.0.0.5", port: 8080, meta: map[string]string{"version": "v1"}}
	w.register(t, i)
	root := filepath.Join(t.TempDir(), "manifests")
	w.startOutput(t, "dir="+root)
	file := filepath.Join(root, namespace, i.entryName()+".yaml")
	read := func() string {
		content, err := os.ReadFile(file)
		if err != nil {
			return err.Error()
		}
		return string(content)
	}
	awaitText(t, read, "kind: ServiceEntry", "kind: WorkloadEntry", "version: v1")
	i.meta["version"] = "v2"
	w.register(t, i)
	awaitText(t, read, "version: v2")
	w.deregister(t, i)
	eventually(t, func(context.Context) error {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("it is still there: %w", err)
		}
		return nil
	})
}

func (w *harness) startOutput(t *testing.T, output string) *testbed.Isthmus {
	t.Helper()
	daemon, err := w.run.StartIsthmus(w.consul, w.kube, "--namespace", namespace, "--output", output)
	if err != nil {
		t.Fatal(err)
	}
	return daemon
}

func awaitText(t *testing.T, text func() string, want ...string) {
	t.Helper()
	eventually(t, func(context.Context) error {
		got := text()
		for _, part := range want {
			if !strings.Contains(got, part) {
				return fmt.Errorf("no %q in\n%s", part, got)
			}
		}
		return nil
	})
}

func documents(text string) []string { return strings.Split(text, "---\n")[1:] }
