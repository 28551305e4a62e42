package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// reloadTest is a reloader of a file that a test writes.
type reloadTest struct {
	*reloader
	t   *testing.T
	log bytes.Buffer
	// reloads are the entries that each reload changed.
	reloads [][]string
	// err is the result of the next reloads.
	err error
}

func newReloadTest(t *testing.T, path string) *reloadTest {
	t.Helper()
	r := &reloadTest{t: t}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&r.log, nil))
	r.reloader = newReloader(c, ConfigFile{Path: path, Content: content, Parse: config.Parse}, nil, log)
	r.apply = func(reload config.Reload) error {
		r.reloads = append(r.reloads, reload.Now)
		return r.err
	}
	return r
}

// expect polls several times, and compares the reloads and the log lines since the last call with the expected ones.
func (r *reloadTest) expect(step string, reloads [][]string, lines ...string) {
	r.t.Helper()
	r.reloads = nil
	r.log.Reset()
	for range 4 {
		r.poll()
	}
	if diff := cmp.Diff(reloads, r.reloads); diff != "" {
		r.t.Errorf("%s: reloads (-want +got):\n%s", step, diff)
	}
	got := strings.SplitAfter(r.log.String(), "\n")
	if len(got)-1 != len(lines) {
		r.t.Fatalf("%s: %d log lines, want %d:\n%s", step, len(got)-1, len(lines), r.log.String())
	}
	for i, want := range lines {
		if !strings.Contains(got[i], want) {
			r.t.Errorf("%s: log line %swant %s", step, got[i], want)
		}
	}
}

// line returns the start of a log line.
func line(level slog.Level, message, path string) string {
	return fmt.Sprintf("level=%s msg=%q file=%s ", level, message, path)
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "isthmus.yaml")
	writeFile(t, path, "log: {level: info}")
	r := newReloadTest(t, path)
	r.expect("unchanged", nil)
	writeFile(t, path, "log: {level: debug}")
	r.expect("a level", [][]string{{"log.level"}}, line(slog.LevelInfo, MsgReloaded, path)+"entries=[log.level]")
	writeFile(t, path, "log: {level: loud, format: loud}")
	r.expect("wrong", nil, line(slog.LevelError, MsgConfigRejected, path)+`error="log.level: \"loud\"`)
	writeFile(t, path, "log: {level: debug}")
	r.expect("as before the mistake", [][]string{nil}, line(slog.LevelInfo, MsgReloaded, path))
	writeFile(t, path, "mesh: {health: passing}\nadmin: {address: ':1'}\nlog: {level: debug}")
	r.expect("with a restart", [][]string{{"mesh.health"}}, line(slog.LevelWarn, MsgRestartNeeded, path)+"entries=[mesh.health] pending=[admin.address]")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.expect("gone", nil, "no such file or directory")
	writeFile(t, path, "mesh: {health: passing}\nadmin: {address: ':1'}\nlog: {level: warn}")
	r.err = errors.New("no way")
	r.expect("refused", [][]string{{"log.level"}}, `error="no way"`)
	r.err = nil
	writeFile(t, path, "mesh: {health: passing}\nlog: {level: error}")
	r.expect("after the refusal", [][]string{{"log.level"}}, "entries=[log.level]")
}

// TestReloadWaitsForTheWriter verifies that a file which is empty for a moment, while it is being written, is not applied.
func TestReloadWaitsForTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "isthmus.yaml")
	writeFile(t, path, "mesh: {health: passing}")
	r := newReloadTest(t, path)
	writeFile(t, path, "")
	r.poll()
	writeFile(t, path, "mesh: {health: passing}\nlog: {level: debug}")
	r.expect("written", [][]string{{"log.level"}}, "entries=[log.level]")
}

// TestReloadOfAConfigMap verifies a change as the kubelet makes it: a symbolic link in the path leads to another directory.
func TestReloadOfAConfigMap(t *testing.T) {
	dir := t.TempDir()
	mount := func(version, content string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, version, "isthmus.yaml"), content)
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("..1", "mesh: {health: passing}")
	path := filepath.Join(dir, "isthmus.yaml")
	if err := os.Symlink(filepath.Join("..data", "isthmus.yaml"), path); err != nil {
		t.Fatal(err)
	}
	r := newReloadTest(t, path)
	mount("..2", "mesh: {health: passingAndWarning}")
	r.expect("swapped", [][]string{{"mesh.health"}}, "entries=[mesh.health]")
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
