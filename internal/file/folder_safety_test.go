package file

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func TestFolderLeavesOthersFilesAlone(t *testing.T) {
	dir, w, web := t.TempDir(), newWorld(), named("web")
	before := map[string]string{
		"README.md":                "mine",
		"top.dc1.yaml":             header, // no namespace
		"ns/web.dc1.yaml":          "mine, where ours should be",
		"ns/gone.dc1.yaml":         "mine, named like ours",
		"ns/empty.dc1.yaml":        "",
		"ns/kustomization.yaml":    header,
		"ns/web.dc1.yaml.bak":      header,
		"ns/a.b.c.yaml":            header,
		"ns/web.dc2.yaml":          header + "of another isthmus",
		"ns/deeper/gone.dc1.yaml":  header,
		"ns/folder.dc1.yaml/x":     "a folder named like a file of ours",
		".git/gone.dc1.yaml/HEAD":  "",
		"other/.hidden/a.dc1.yaml": header,
	}
	for file, content := range before {
		put(t, dir, file, content)
	}
	log := &paper{}
	f := newFolder(t, dir, log)
	w.want(web, serviceEntry("ns", web, "web.example"))
	folder := named("folder")
	w.want(folder, serviceEntry("ns", folder, "folder.example"))
	for _, name := range []mesh.Name{web, folder, named("gone"), named("empty")} {
		f.Notify(name)
	}
	runs(t, f, w)
	ready(t, f)
	expectFiles(t, dir, before)
	for _, file := range []string{"ns/web.dc1.yaml", "ns/folder.dc1.yaml"} {
		if !strings.Contains(log.String(), "file="+filepath.Join(dir, file)) {
			t.Errorf("the log doesn't name %s:\n%s", file, log)
		}
	}
	if w.holds(web) || w.holds(folder) {
		t.Error("a write is reported for a refused file")
	}
	// Other services are written.
	zoo := named("zoo")
	w.want(zoo, serviceEntry("ns", zoo, "zoo.example"))
	f.Notify(zoo)
	eventually(t, "another service is written", func() bool { return w.holds(zoo) })
	// Foreign files stay when their services are removed. The zoo is the last one in order.
	w.want(web)
	w.want(folder)
	w.want(zoo)
	for _, name := range []mesh.Name{web, folder, zoo} {
		f.Notify(name)
	}
	eventually(t, "ours is removed", func() bool { return files(t, dir)["ns/zoo.dc1.yaml"] == "" })
	expectFiles(t, dir, before)
}

func TestFolderLeavesLinksAlone(t *testing.T) {
	dir, outside, w, web := t.TempDir(), t.TempDir(), newWorld(), named("web")
	put(t, outside, "target", header)
	put(t, dir, "ns/x", "")
	link := filepath.Join(dir, "ns", "web.dc1.yaml")
	if err := os.Symlink(filepath.Join(outside, "target"), link); err != nil {
		t.Skip(err)
	}
	f := newFolder(t, dir, io.Discard)
	runs(t, f, w)
	w.want(web, serviceEntry("ns", web, "web.example"))
	f.Notify(web)
	ready(t, f)
	expectFiles(t, outside, map[string]string{"target": header})
	if got, err := os.Readlink(link); err != nil || got != filepath.Join(outside, "target") {
		t.Errorf("the link became %q, %v", got, err)
	}
}

func TestFolderRemovesObsoleteFiles(t *testing.T) {
	dir, w, web := t.TempDir(), newWorld(), named("web")
	ours := header + webEntry
	for _, file := range []string{"ns/gone.dc1.yaml", "ns/web.dc1.yaml", "moved-from/web.dc1.yaml", "ns/gone.dc2.yaml"} {
		put(t, dir, file, ours)
	}
	w.setComplete(false)
	w.known = map[string]bool{"dc1": false}
	f := newFolder(t, dir, io.Discard)
	runs(t, f, w)
	w.want(web, serviceEntry("ns", web, "web.example"))
	f.Notify(web)
	eventually(t, "the change is handled", func() bool { return len(f.Wake) == 0 })
	if got := len(files(t, dir)); got != 4 {
		t.Fatalf("%d files, before the source has reported", got)
	}
	w.mu.Lock()
	w.known["dc1"], w.complete = true, true
	w.mu.Unlock()
	f.Synced()
	ready(t, f)
	// The file of a source that is no longer configured stays.
	expectFiles(t, dir, map[string]string{"ns/web.dc1.yaml": ours, "ns/gone.dc2.yaml": ours})
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	web := named("web")
	tests := map[string]func(t *testing.T, dir string){
		"the folder was removed": func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		},
		"no right to write": func(t *testing.T, dir string) {
			if os.Geteuid() == 0 {
				t.Skip("root may write everywhere")
			}
			if err := os.Chmod(dir, 0o555); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			dir, w := filepath.Join(t.TempDir(), "out"), newWorld()
			f := newFolder(t, dir, io.Discard)
			spoil(t, dir)
			w.want(web, serviceEntry("ns", web, "web.example"))
			f.Notify(web)
			err := failure(t, f, w)
			if !strings.HasPrefix(err.Error(), "output folder "+dir+": ") {
				t.Errorf("the error doesn't name the folder: %q", err)
			}
			if w.holds(web) || f.Ready() == nil {
				t.Error("a write is reported")
			}
		})
	}
	t.Run("a file in the folder's place", func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, "file", "")
		path := filepath.Join(dir, "file")
		if _, err := NewFolder(path, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("unexpected error %v", err)
		}
	})
}

func TestFolderIsNeverLeft(t *testing.T) {
	odd := []string{"..", ".", "", "/", "../../up", "/etc/passwd", "a/b", `a\b`, "a\x00b", "中文", "*", "[", "C:x", strings.Repeat("l", 300)}
	parent := t.TempDir()
	dir, w := filepath.Join(parent, "out"), newWorld()
	f := newFolder(t, dir, io.Discard)
	var names mesh.Names
	for _, service := range odd {
		names.Add(catalog.Key{Source: "dc1", Name: service})
	}
	for _, service := range odd {
		name := names.Of(catalog.Key{Source: "dc1", Name: service})
		w.want(name, serviceEntry("ns", name, "x.example"))
		f.Notify(name)
	}
	runs(t, f, w)
	ready(t, f)
	for file := range files(t, parent) {
		if !strings.HasPrefix(file, "out/ns/") || strings.Count(file, "/") != 2 {
			t.Errorf("a file is at %s", file)
		}
	}
	if got := len(files(t, parent)); got != len(odd) {
		t.Errorf("%d files for %d services", got, len(odd))
	}
}

// TestFolderRefusesAPathThatLeadsOut verifies a second line of defense: names never contain such paths.
func TestFolderRefusesAPathThatLeadsOut(t *testing.T) {
	parent, w := t.TempDir(), newWorld()
	dir, out := filepath.Join(parent, "out"), named("../../up")
	put(t, parent, "up.dc1.yaml", header)
	put(t, dir, "ns/x", "")
	for _, objects := range [][]mesh.Object{{serviceEntry("ns", out, "x.example")}, nil} {
		f := newFolder(t, dir, io.Discard)
		w.want(out, objects...)
		f.Notify(out)
		if err := failure(t, f, w); !strings.Contains(err.Error(), "escapes") {
			t.Errorf("unexpected error %q", err)
		}
	}
	expectFiles(t, parent, map[string]string{"up.dc1.yaml": header, "out/ns/x": ""})
}
