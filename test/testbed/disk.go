package testbed

import (
	"os"
	"os/exec"
	"sync"
	"testing"
)

// SmallDisk mounts a disk of 64 KiB at a folder until the test ends. If it cannot mount one, it skips the test, or
// fails it with CI=true.
func SmallDisk(t *testing.T, folder string) {
	t.Helper()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", folder).CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("needs Linux and root: %v: %s", err, out)
		}
		t.Skipf("needs Linux and root: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", folder).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// ReadOnlyDisk makes a disk of SmallDisk read-only, as the kernel does after an error of the disk. The result makes it
// writable again.
func ReadOnlyDisk(t *testing.T, folder string) (writable func()) {
	t.Helper()
	remount := func(option string) {
		t.Helper()
		if out, err := exec.Command("mount", "-o", "remount,"+option, folder).CombinedOutput(); err != nil {
			t.Fatalf("remount %s: %v: %s", option, err, out)
		}
	}
	remount("ro")
	return func() { t.Helper(); remount("rw") }
}

// ReadOnlyFolder makes a folder on a disk of SmallDisk read-only, also for root, although files below are open. The result
// makes it writable again.
func ReadOnlyFolder(t *testing.T, folder string) (writable func()) {
	t.Helper()
	if out, err := exec.Command("chattr", "+i", folder).CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("needs Linux 6.6 or later and root: %v: %s", err, out)
		}
		t.Skipf("needs Linux 6.6 or later and root: %v: %s", err, out)
	}
	var once sync.Once
	writable = func() {
		once.Do(func() {
			if out, err := exec.Command("chattr", "-i", folder).CombinedOutput(); err != nil {
				t.Errorf("chattr -i: %v: %s", err, out)
			}
		})
	}
	t.Cleanup(writable)
	return writable
}
