package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// TestReloadDuringManySwaps verifies that a ConfigMap that changes all the time, while it is read, is never applied in part
// and causes no error, and that its last content is applied.
func TestReloadDuringManySwaps(t *testing.T) {
	dir := t.TempDir()
	const swaps = 300
	swap := func(version int) error {
		name := fmt.Sprint("..", version)
		content := fmt.Sprintf("mesh: {health: passing, labels: {deny: [%q]}}\nlog: {level: %s}\n", fmt.Sprint("v", version), []string{"info", "debug"}[version%2])
		return errors.Join(
			os.Mkdir(filepath.Join(dir, name), 0o755), os.WriteFile(filepath.Join(dir, name, "isthmus.yaml"), []byte(content), 0o644),
			os.Symlink(name, filepath.Join(dir, "..data_tmp")), os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")),
			os.RemoveAll(filepath.Join(dir, fmt.Sprint("..", version-1))), // the kubelet removes the old folder at once
		)
	}
	if err := swap(0); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "isthmus.yaml")
	if err := os.Symlink(filepath.Join("..data", "isthmus.yaml"), path); err != nil {
		t.Fatal(err)
	}
	r := newReloadTest(t, path)
	done := make(chan error, 1)
	go func() {
		for version := 1; version <= swaps; version++ {
			if err := swap(version); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for running := true; running; {
		select {
		case err := <-done:
			if running = false; err != nil {
				t.Fatal(err)
			}
		default:
			r.poll()
		}
	}
	for range 4 {
		r.poll()
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, r.running); diff != "" {
		t.Errorf("the last content is not applied (-want +got):\n%s", diff)
	}
	for _, entries := range r.reloads {
		if !slices.Contains(entries, "mesh.labels.deny") {
			t.Errorf("a reload changed %q only", entries)
		}
	}
}
