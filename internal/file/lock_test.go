package file

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/safefile"
)

// TestFolderHasOneOwner verifies that a second process can't take a folder while the first one has it, and that it
// changes nothing.
func TestFolderHasOneOwner(t *testing.T) {
	dir, w, web := t.TempDir(), newWorld(), named("web")
	first := newFolder(t, dir, io.Discard)
	stop := runs(t, first, w)
	w.want(web, serviceEntry("ns", web, "web.example"))
	first.Notify(web)
	ready(t, first)
	if _, err := NewFolder(dir, slog.New(slog.DiscardHandler)); !errors.Is(err, errOwned) {
		t.Fatalf("a second owner: %v", err)
	}
	expectFiles(t, dir, map[string]string{"ns/web.dc1.yaml": header + webEntry})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if second, err := NewFolder(dir, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("the first owner has stopped: %v", err)
	} else {
		second.lock.release()
	}
}

// TestFolderThatIsReplaced verifies that the owner takes the lock of the new folder when the path leads to another one.
func TestFolderThatIsReplaced(t *testing.T) {
	quickRetries(t)
	parent, w, web := t.TempDir(), newWorld(), named("web")
	path := filepath.Join(parent, "out")
	lead := func(to string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(parent, to), 0o755); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(parent, "link")
		if err := errors.Join(os.Symlink(to, link), os.Rename(link, path)); err != nil {
			t.Fatal(err)
		}
	}
	lead("a")
	f := newFolder(t, path, io.Discard)
	runs(t, f, w)
	f.Synced()
	ready(t, f)
	lead("b")
	w.want(web, serviceEntry("ns", web, "web.example"))
	f.Notify(web)
	eventually(t, "the service is written", func() bool { return w.holds(web) })
	if _, err := NewFolder(filepath.Join(parent, "b"), slog.New(slog.DiscardHandler)); !errors.Is(err, errOwned) {
		t.Errorf("a second owner of the new folder: %v", err)
	}
	free, err := NewFolder(filepath.Join(parent, "a"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("the old folder: %v", err)
	}
	free.lock.release()
}

// TestLockRefusesSpecialFiles verifies that a special file in the place of the lock is an error and never blocks.
func TestLockRefusesSpecialFiles(t *testing.T) {
	for name, create := range map[string]func(path string) error{
		"FIFO":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"link":   func(path string) error { return os.Symlink("elsewhere", path) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := create(filepath.Join(dir, lockName)); err != nil {
				t.Fatal(err)
			}
			if _, err := NewFolder(dir, slog.New(slog.DiscardHandler)); !errors.Is(err, safefile.ErrNotRegular) {
				t.Errorf("error %v", err)
			}
			if _, err := os.Lstat(filepath.Join(dir, "elsewhere")); err == nil {
				t.Error("the link was followed")
			}
		})
	}
}
