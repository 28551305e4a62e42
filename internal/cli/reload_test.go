package cli

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/klog/v2"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// reloading is a reloader whose file a test writes.
type reloading struct {
	*reloader
	t       *testing.T
	log     bytes.Buffer
	applied [][]string
	err     error
}

func newReloading(t *testing.T, path string) *reloading {
	t.Helper()
	r := &reloading{t: t}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&r.log, nil))
	r.reloader = (&daemon{log: log}).newReloader(c, content, path, config.Parse)
	r.apply = func(reload config.Reload) error {
		r.applied = append(r.applied, reload.Now)
		return r.err
	}
	return r
}

// expect looks several times and compares what was applied and told since the last time.
func (r *reloading) expect(what string, applied [][]string, told ...string) {
	r.t.Helper()
	r.applied = nil
	r.log.Reset()
	for range 4 {
		r.look()
	}
	if diff := cmp.Diff(applied, r.applied); diff != "" {
		r.t.Errorf("%s: applied (-want +got):\n%s", what, diff)
	}
	lines := strings.SplitAfter(r.log.String(), "\n")
	if len(lines)-1 != len(told) {
		r.t.Fatalf("%s: told %d lines, want %d:\n%s", what, len(lines)-1, len(told), r.log.String())
	}
	for i, want := range told {
		if !strings.Contains(lines[i], want) {
			r.t.Errorf("%s: told %swant %s", what, lines[i], want)
		}
	}
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "isthmus.yaml")
	writeFile(t, path, "log: {level: info}")
	r := newReloading(t, path)
	r.expect("unchanged", nil)
	writeFile(t, path, "log: {level: debug}")
	r.expect("a level", [][]string{{"log.level"}}, `level=INFO msg="the configuration file was read again" file=`+path+" now=[log.level]")
	writeFile(t, path, "log: {level: loud, format: loud}")
	r.expect("wrong", nil, `can't be used; what was read before stands" file=`+path+` error="log.level: \"loud\" is not one of`)
	writeFile(t, path, "log: {level: debug}")
	r.expect("as before the mistake", [][]string{nil}, "was read again")
	writeFile(t, path, "mesh: {health: passing}\nadmin: {address: ':1'}\nlog: {level: debug}")
	r.expect("with a restart", [][]string{{"mesh.health"}}, "some entries need a restart\" file="+path+" now=[mesh.health] restart=[admin.address]")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.expect("gone", nil, "no such file or directory")
	writeFile(t, path, "mesh: {health: passing}\nadmin: {address: ':1'}\nlog: {level: warn}")
	r.err = errors.New("no way")
	r.expect("refused", [][]string{{"log.level"}}, `error="no way"`)
	r.err = nil
	writeFile(t, path, "mesh: {health: passing}\nlog: {level: error}")
	r.expect("after the refusal", [][]string{{"log.level"}}, "now=[log.level]")
}

// TestReloadWaitsForTheWriter holds that a file which is emptied before it is written anew isn't taken for an empty one.
func TestReloadWaitsForTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "isthmus.yaml")
	writeFile(t, path, "mesh: {health: passing}")
	r := newReloading(t, path)
	writeFile(t, path, "")
	r.look()
	writeFile(t, path, "mesh: {health: passing}\nlog: {level: debug}")
	r.expect("written", [][]string{{"log.level"}}, "now=[log.level]")
}

// TestReloadOfAConfigMap changes the file as the kubelet does: a link in its path leads to another folder.
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
	r := newReloading(t, path)
	mount("..2", "mesh: {health: passingAndWarning}")
	r.expect("swapped", [][]string{{"mesh.health"}}, "now=[mesh.health]")
}

// TestLibrariesAreSilent holds that what the libraries log shows at level debug only, also when that changes.
func TestLibrariesAreSilent(t *testing.T) {
	var out bytes.Buffer
	c := config.Default()
	_, level := newLog(c.Log, &out)
	for _, step := range []struct {
		level string
		want  int
	}{{"info", 0}, {"debug", 2}, {"error", 2}} {
		c.Log.Level = step.level
		setLevel(level, c.Log)
		klog.InfoS("a library's word")
		klog.ErrorS(nil, "a library's error")
		if got := strings.Count(out.String(), "a library's"); got != step.want {
			t.Errorf("at level %s: %d lines, want %d:\n%s", step.level, got, step.want, &out)
		}
	}
}
