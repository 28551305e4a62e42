package file

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newFolder(t *testing.T, dir string, log io.Writer) *Folder {
	t.Helper()
	f, err := NewFolder(dir, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// files returns the content of all regular files below a folder, by relative path, without the lock. Files may vanish
// during the call.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || entry.Name() == lockName {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		rel, _ := filepath.Rel(dir, path)
		all[filepath.ToSlash(rel)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// put writes a file that isthmus doesn't write.
func put(t *testing.T, dir, file, content string) {
	t.Helper()
	path := filepath.Join(dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func expectFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, files(t, dir)); diff != "" {
		t.Errorf("the folder is not as expected:\n%s", diff)
	}
}

func TestFolderKeepsOneFileForEachService(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there [yet]") // brackets are not a pattern
	w := newWorld()
	w.setComplete(false)
	f := newFolder(t, dir, io.Discard)
	runs(t, f, w)
	web, api := named("web"), named("api")
	w.want(web, serviceEntry("ns", web, "web.example"), workloadEntry("ns", "web-1.dc1", "10.0.0.1"))
	w.want(api, serviceEntry("other", api, "api.example"))
	f.Notify(web)
	f.Notify(api)
	// A report of one source doesn't wait for another source.
	eventually(t, "known services are written", func() bool { return len(files(t, dir)) == 2 })
	if f.Ready() == nil {
		t.Fatal("ready before all sources are complete")
	}
	w.setComplete(true)
	f.Synced()
	ready(t, f)
	apiFile := header + strings.Replace(apiEntry, "namespace: ns", "namespace: other", 1)
	expectFiles(t, dir, map[string]string{
		"ns/web.dc1.yaml": header + webEntry + webWorkload, "other/api.dc1.yaml": apiFile,
	})
	if !w.holds(web) || !w.holds(api) {
		t.Error("the writes are not reported")
	}
	w.want(web, serviceEntry("ns", web, "web.example"))
	f.Notify(web)
	eventually(t, "the change is written", func() bool { return w.holds(web) })
	expectFiles(t, dir, map[string]string{"ns/web.dc1.yaml": header + webEntry, "other/api.dc1.yaml": apiFile})
	w.want(web)
	f.Notify(web)
	eventually(t, "the file is removed", func() bool { return len(files(t, dir)) == 1 })
	expectFiles(t, dir, map[string]string{"other/api.dc1.yaml": apiFile})
}

// TestFolderReplacesAtomically verifies that a reader with an open file keeps seeing the complete old content.
func TestFolderReplacesAtomically(t *testing.T) {
	dir, w := t.TempDir(), newWorld()
	f := newFolder(t, dir, io.Discard)
	runs(t, f, w)
	web := named("web")
	write := func(host string) {
		w.want(web, serviceEntry("ns", web, host))
		f.Notify(web)
		eventually(t, "it is written", func() bool { return w.holds(web) })
	}
	write("web.example")
	open, err := os.Open(filepath.Join(dir, "ns", "web.dc1.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	write("a-much-longer-host.example")
	old, err := io.ReadAll(open)
	if err != nil || string(old) != header+webEntry {
		t.Errorf("%v: the old file changed under its reader: %q", err, old)
	}
	expectFiles(t, dir, map[string]string{
		"ns/web.dc1.yaml": header + strings.Replace(webEntry, "web.example", "a-much-longer-host.example", 1),
	})
}

func TestFolderSkipsUnchangedFiles(t *testing.T) {
	dir, w, web := t.TempDir(), newWorld(), named("web")
	w.want(web, serviceEntry("ns", web, "web.example"), workloadEntry("ns", "web-1.dc1", "10.0.0.1"))
	path := filepath.Join(dir, "ns", "web.dc1.yaml")
	var before os.FileInfo
	for range 3 {
		f := newFolder(t, dir, io.Discard)
		stop := runs(t, f, w)
		f.Notify(web)
		f.Synced()
		ready(t, f)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		after, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && (!os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime())) {
			t.Error("the file was written again")
		}
		before = after
	}
}

// TestFolderUnderManyChanges verifies that readers never see a partial file during many changes.
func TestFolderUnderManyChanges(t *testing.T) {
	dir, w, web := t.TempDir(), newWorld(), named("web")
	f := newFolder(t, dir, io.Discard)
	runs(t, f, w)
	done := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		for {
			content, err := os.ReadFile(filepath.Join(dir, "ns", "web.dc1.yaml"))
			if err == nil && (!bytes.HasPrefix(content, []byte(header)) || !bytes.HasSuffix(content, []byte(".example\n"))) {
				t.Errorf("partial file: %q", content)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for i := range 200 {
		w.want(web, serviceEntry("ns", web, strings.Repeat("h", 1+i%50)+".example"))
		f.Notify(web)
	}
	eventually(t, "the last change is written", func() bool { return w.holds(web) })
	close(done)
	readers.Wait()
	if got := files(t, dir)["ns/web.dc1.yaml"]; !strings.Contains(got, strings.Repeat("h", 50)+".example") {
		t.Errorf("the last change is not in the file: %q", got)
	}
}

// TestFolderMovesAFile verifies that a service which moves to another namespace leaves no file behind.
func TestFolderMovesAFile(t *testing.T) {
	dir := t.TempDir()
	w, web := newWorld(), named("web")
	w.want(web, serviceEntry("here", web, "web.example"))
	f := newFolder(t, dir, io.Discard)
	f.Notify(web)
	runs(t, f, w)
	ready(t, f)
	w.want(web, serviceEntry("there", web, "web.example"))
	f.Notify(web)
	eventually(t, "it moved", func() bool { return w.holds(web) })
	if got := files(t, dir); len(got) != 1 || got["there/web.dc1.yaml"] == "" {
		t.Errorf("got %v", got)
	}
}
