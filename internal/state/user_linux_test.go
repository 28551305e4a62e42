package state

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"golang.org/x/sys/unix"

	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// TestRequestOfRoot holds that root may ask an isthmus that runs as somebody else, whatever root's umask is, and that the
// request is gone then.
func TestRequestOfRoot(t *testing.T) {
	const nobody = 65534
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	folder, err := os.MkdirTemp("", "isthmus-state") // not t.TempDir, which nobody else may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chown(folder, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "state")
	var f *File
	as(t, nobody, func() {
		if f, err = Open(path, quiet()); err != nil {
			return
		}
		f.Save(contract.Change{Holds: map[string]guard.Hold{"consul": {Since: time.Now(), Instances: 7}}})
		f.flush()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before := unix.Umask(0o077)
	_, err = Request(path, "consul")
	unix.Umask(before)
	if err != nil {
		t.Fatal(err)
	}
	as(t, nobody, func() {
		if got := f.takeRequests(); !slices.Equal(got, []string{"consul"}) {
			t.Errorf("isthmus understood %q", got)
		}
	})
	if left, err := filepath.Glob(path + ".[ar]*"); err != nil || len(left) > 0 {
		t.Errorf("the request stands: %q, %v", left, err)
	}
}

// as has files opened by another user: the kernel keeps that for each thread.
func as(t *testing.T, user int, do func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks it, so that the thread ends with the goroutine
		err := unix.Setfsgid(user)
		if err == nil {
			err = unix.Setfsuid(user)
		}
		if err == nil {
			do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
