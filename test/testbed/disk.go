package testbed

import (
	"os"
	"os/exec"
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
