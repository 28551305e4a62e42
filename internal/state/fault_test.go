package state

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// openOnSmallDisk makes the folder a disk of its own, which a test can fill, and opens a state file that has one service.
func openOnSmallDisk(t *testing.T, folder, path string, log io.Writer) *File {
	t.Helper()
	testbed.SmallDisk(t, folder)
	f, err := Open(path, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	f.Save(contract.Change{Services: []catalog.Service{service("web", "1")}})
	if !f.flush() {
		t.Fatal("not saved")
	}
	return f
}

// TestDiskFull verifies that a full disk is logged once, that the file keeps its content, and that it is written when there
// is space again.
func TestDiskFull(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "state")
	var log bytes.Buffer
	f := openOnSmallDisk(t, folder, path, &log)
	defer f.Close()
	if err := os.WriteFile(filepath.Join(folder, "filler"), make([]byte, 100<<10), 0o600); err == nil {
		t.Fatal("the disk isn't full")
	}
	for i := range 200 {
		f.Save(contract.Change{Services: []catalog.Service{service("web", strings.Repeat("x", 50), string(rune('a'+i%26)))}})
	}
	for range 2 {
		if f.flush() {
			t.Error("saved on a full disk")
		}
	}
	if got := strings.Count(log.String(), MsgWriteFailing); got != 1 {
		t.Errorf("logged %d times:\n%s", got, &log)
	}
	if c, err := peek(path); err != nil || len(c.services) != 1 {
		t.Errorf("the file holds %d services, %v", len(c.services), err)
	}
	if err := os.Remove(filepath.Join(folder, "filler")); err != nil {
		t.Fatal(err)
	}
	if !f.flush() || !strings.Contains(log.String(), MsgWriteRecovers) {
		t.Errorf("not written again:\n%s", &log)
	}
	c, err := peek(path)
	if web := c.services[catalog.Key{Source: "consul", Name: "web"}]; err != nil || len(web.Instances) != 2 {
		t.Errorf("the file holds %v, %v", web, err)
	}
}

// TestFolderGone verifies that a run continues without its directory, and writes the file when the directory is back.
func TestFolderGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "state")
	f, err := Open(path, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	f.Save(contract.Change{Services: []catalog.Service{service("web", "1")}})
	if f.flush() {
		t.Error("saved without a folder")
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if !f.flush() {
		t.Error("not saved with a folder")
	}
	if c, err := peek(path); err != nil || len(c.services) != 1 {
		t.Errorf("the file holds %v, %v", c, err)
	}
}

// TestRequest verifies that a request reaches the process that owns the file, and that a source without a hold is an error.
func TestRequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	released := make(chan string, 1)
	f, _ := running(t, path, quiet(), func(source string) { released <- source })
	f.Save(contract.Change{Holds: map[string]guard.Hold{"consul": {Since: time.Now(), Instances: 7, Services: 3}}})
	wait := func(want bool, source string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, got, err := Held(path, source); err == nil && got == want {
				return
			} else if time.Now().After(deadline) {
				t.Fatalf("held %v, %v", got, err)
			}
		}
	}
	wait(true, "consul")
	if _, err := Request(path, "east"); err == nil || !strings.Contains(err.Error(), `source "east" has no held removals`) {
		t.Errorf("got %v", err)
	}
	held, err := Request(path, "consul")
	if err != nil || held != "7 instances, 3 services" {
		t.Errorf("held %q, %v", held, err)
	}
	if got := <-released; got != "consul" {
		t.Errorf("released %q", got)
	}
	f.Save(contract.Change{Holds: map[string]guard.Hold{}})
	wait(false, "consul")
}

// TestOddRequests verifies that special files in the place of a request are removed, and don't stop or block the run.
func TestOddRequests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, err := Open(path, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	odd := path + requestSuffix
	for name, make := range map[string]func() error{
		"a link":   func() error { return os.Symlink("/dev/zero", odd) },
		"a FIFO":   func() error { return syscall.Mkfifo(odd, 0o600) },
		"a folder": func() error { return os.Mkdir(odd, 0o700) },
		"too much": func() error { return os.WriteFile(odd, bytes.Repeat([]byte("x "), maxRequest), 0o600) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if got := f.takeRequests(); len(got) > 0 {
			t.Errorf("%s: releases %q", name, got)
		}
	}
	if err := os.WriteFile(odd, []byte("consul\neast\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := f.takeRequests(); !slices.Equal(got, []string{"consul", "east"}) {
		t.Errorf("releases %q", got)
	}
}

// TestSaveWhileWriting verifies that changes during a write are not lost.
func TestSaveWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, stop := running(t, path, quiet(), nil)
	var group sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		group.Go(func() {
			for range 100 {
				f.Save(contract.Change{Services: []catalog.Service{service(name, "1")}})
				f.Save(contract.Change{Services: []catalog.Service{service(name)}})
			}
			f.Save(contract.Change{Services: []catalog.Service{service(name, "2")}})
		})
	}
	group.Wait()
	stop()
	var got []string
	for _, s := range load(t, path).Services {
		got = append(got, s.Name+s.Instances[0].ID.ServiceID)
	}
	if !slices.Equal(got, []string{"a2", "b2", "c2", "d2"}) {
		t.Errorf("loaded %q", got)
	}
}

// TestDiskReadOnly verifies the same for a disk that becomes read-only during the run.
func TestDiskReadOnly(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "state")
	var log bytes.Buffer
	f := openOnSmallDisk(t, folder, path, &log)
	f.Close() // the kernel makes no disk read-only that has a file open for writing
	f, err := Open(path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	writable := testbed.ReadOnlyDisk(t, folder)
	f.Save(contract.Change{Services: []catalog.Service{service("web", "1", "2")}})
	for range 2 {
		if f.flush() {
			t.Error("saved on a read-only disk")
		}
	}
	if got := strings.Count(log.String(), MsgWriteFailing); got != 1 {
		t.Errorf("logged %d times:\n%s", got, &log)
	}
	if c, err := peek(path); err != nil || len(c.services[catalog.Key{Source: "consul", Name: "web"}].Instances) != 1 {
		t.Errorf("the file holds %v, %v", c.services, err)
	}
	writable()
	if !f.flush() || !strings.Contains(log.String(), MsgWriteRecovers) {
		t.Errorf("not written again:\n%s", &log)
	}
	if c, err := peek(path); err != nil || len(c.services[catalog.Key{Source: "consul", Name: "web"}].Instances) != 2 {
		t.Errorf("the file holds %v, %v", c.services, err)
	}
}
