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

// TestRequestOfRoot verifies that root can send a request to an isthmus of another user, with any umask, and that the
// request is removed.
func TestRequestOfRoot(t *testing.T) {
	const otherUser = 65534
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	folder, err := os.MkdirTemp("", "isthmus-state") // other users can't enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chown(folder, otherUser, otherUser); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "state")
	var f *File
	as(t, otherUser, func() {
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
	as(t, otherUser, func() {
		if got := f.takeRequests(); !slices.Equal(got, []string{"consul"}) {
			t.Errorf("took %q", got)
		}
	})
	if left, err := filepath.Glob(path + ".[ar]*"); err != nil || len(left) > 0 {
		t.Errorf("the request remains: %q, %v", left, err)
	}
}

// as runs do with the file permissions of another user. The kernel keeps them for each thread.
func as(t *testing.T, user int, do func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // without UnlockOSThread, the thread ends with the goroutine
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
