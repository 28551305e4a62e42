package file

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFolderRefusesForeignPlaces verifies for each kind of foreign file that the output neither follows it nor waits for
// it: the service is refused with one log line, all others are written, the output becomes ready, and the service is
// written when the foreign file is gone.
func TestFolderRefusesForeignPlaces(t *testing.T) {
	for name, test := range map[string]struct {
		create func(t *testing.T, dir string) error
		clear  string
	}{
		"FIFO": {func(t *testing.T, dir string) error {
			return syscall.Mkfifo(filepath.Join(dir, "bad", "web.dc1.yaml"), 0o600)
		}, "bad/web.dc1.yaml"},
		"socket": {func(t *testing.T, dir string) error {
			return syscall.Mknod(filepath.Join(dir, "bad", "web.dc1.yaml"), syscall.S_IFSOCK|0o600, 0)
		}, "bad/web.dc1.yaml"},
		"link to a file of isthmus": {func(t *testing.T, dir string) error {
			put(t, dir, "target", header)
			return os.Symlink("../target", filepath.Join(dir, "bad", "web.dc1.yaml"))
		}, "bad/web.dc1.yaml"},
		"link to a device": {func(t *testing.T, dir string) error {
			return os.Symlink("/dev/zero", filepath.Join(dir, "bad", "web.dc1.yaml"))
		}, "bad/web.dc1.yaml"},
		"folder": {func(t *testing.T, dir string) error {
			return os.Mkdir(filepath.Join(dir, "bad", "web.dc1.yaml"), 0o755)
		}, "bad/web.dc1.yaml"},
		"file in the place of the namespace": {func(t *testing.T, dir string) error {
			return replaceFolder(dir, func(path string) error { return os.WriteFile(path, nil, 0o600) })
		}, "bad"},
		"FIFO in the place of the namespace": {func(t *testing.T, dir string) error {
			return replaceFolder(dir, func(path string) error { return syscall.Mkfifo(path, 0o600) })
		}, "bad"},
		"link in the place of the namespace": {func(t *testing.T, dir string) error {
			put(t, dir, "elsewhere/mine", "")
			return replaceFolder(dir, func(path string) error { return os.Symlink("elsewhere", path) })
		}, "bad"},
	} {
		t.Run(name, func(t *testing.T) {
			quickRetries(t)
			dir, w, web, zoo := t.TempDir(), newWorld(), named("web"), named("zoo")
			put(t, dir, "bad/other", "")
			if err := test.create(t, dir); err != nil {
				t.Fatal(err)
			}
			before := files(t, dir)
			log := &paper{}
			f := newFolder(t, dir, log)
			w.want(web, serviceEntry("bad", web, "web.example"))
			w.want(zoo, serviceEntry("ns", zoo, "zoo.example"))
			f.Notify(web)
			f.Notify(zoo)
			runs(t, f, w)
			ready(t, f)
			if w.holds(web) || !w.holds(zoo) {
				t.Errorf("written: web %v, zoo %v", w.holds(web), w.holds(zoo))
			}
			after := files(t, dir)
			for file, content := range before {
				if after[file] != content || len(after) != len(before)+1 {
					t.Errorf("%s changed to %q", file, after[file])
				}
			}
			if err := os.RemoveAll(filepath.Join(dir, test.clear)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the service is written", func() bool { return w.holds(web) })
			if n := strings.Count(log.String(), MsgServiceRefused); n != 1 {
				t.Errorf("logged %d times:\n%s", n, log)
			}
		})
	}
}

func replaceFolder(dir string, create func(path string) error) error {
	path := filepath.Join(dir, "bad")
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return create(path)
}

// TestFolderLeavesNewFilesAlone verifies that a file with the suffix .new, of any kind, is neither overwritten, nor
// followed, nor in the way.
func TestFolderLeavesNewFilesAlone(t *testing.T) {
	for name, create := range map[string]func(path string) error{
		"file":   func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
		"link":   func(path string) error { return os.Symlink("mine.txt", path) },
		"FIFO":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"folder": func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, w, web := t.TempDir(), newWorld(), named("web")
			put(t, dir, "ns/mine.txt", "mine")
			path := filepath.Join(dir, "ns", "web.dc1.yaml.new")
			if err := create(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			f := newFolder(t, dir, &paper{})
			w.want(web, serviceEntry("ns", web, "web.example"))
			f.Notify(web)
			runs(t, f, w)
			ready(t, f)
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) || !w.holds(web) {
				t.Errorf("%v, written %v", err, w.holds(web))
			}
			if got := files(t, dir); got["ns/mine.txt"] != "mine" || got["ns/web.dc1.yaml"] != header+webEntry {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestFolderRemovesTemporaryFiles verifies that a start removes the temporary files of a crash, and no others.
func TestFolderRemovesTemporaryFiles(t *testing.T) {
	dir, w := t.TempDir(), newWorld()
	put(t, dir, "ns/.isthmus-ABC.tmp", header+"partial")
	put(t, dir, "ns/.isthmus-DEF.tmp", "mine")
	f := newFolder(t, dir, &paper{})
	runs(t, f, w)
	f.Synced()
	ready(t, f)
	expectFiles(t, dir, map[string]string{"ns/.isthmus-DEF.tmp": "mine"})
}
