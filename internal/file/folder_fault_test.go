package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestFolderThatIsFull verifies that a full disk damages no file, that it is logged once, and that pending files are
// written when there is space again.
func TestFolderThatIsFull(t *testing.T) {
	dir, w, web := t.TempDir(), newWorld(), named("web")
	f, log := startOnSmallDisk(t, dir, w, web)
	before := files(t, dir)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 100<<10), 0o600); err == nil {
		t.Fatal("the disk isn't full")
	}
	w.want(web, serviceEntry("ns", web, "changed.example"))
	f.Notify(web)
	eventually(t, "the failure is logged", func() bool { return strings.Contains(log.String(), MsgFolderFailing) })
	if after := files(t, dir); after["ns/web.dc1.yaml"] != before["ns/web.dc1.yaml"] {
		t.Errorf("the file is now %q", after["ns/web.dc1.yaml"])
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the service is written", func() bool { return w.holds(web) })
	eventually(t, "the recovery is logged", func() bool { return strings.Contains(log.String(), MsgFolderRecovered) })
	if logged := strings.Count(log.String(), MsgFolderFailing); logged != 1 {
		t.Errorf("logged %d times:\n%s", logged, log)
	}
}

// TestFolderWithOneBadPlace verifies that a service that can't be written delays no other service.
func TestFolderWithOneBadPlace(t *testing.T) {
	quickRetries(t)
	dir, w, web, zoo := t.TempDir(), newWorld(), named("web"), named("zoo")
	f := newFolder(t, dir, &paper{})
	runs(t, f, w)
	f.Synced()
	ready(t, f)
	put(t, dir, "bad", "a file in the namespace's place")
	w.want(web, serviceEntry("bad", web, "web.example"))
	w.want(zoo, serviceEntry("ns", zoo, "zoo.example"))
	f.Notify(web)
	f.Notify(zoo)
	eventually(t, "the other is written", func() bool { return w.holds(zoo) })
	if w.holds(web) {
		t.Error("a write is reported")
	}
	if err := os.Remove(filepath.Join(dir, "bad")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the service is written", func() bool { return w.holds(web) })
}

// startOnSmallDisk runs an output on a disk of its own, which a test can fill, and waits until it has written a service.
func startOnSmallDisk(t *testing.T, dir string, w *world, name mesh.Name) (*Folder, *paper) {
	t.Helper()
	quickRetries(t)
	testbed.SmallDisk(t, dir)
	log := &paper{}
	f := newFolder(t, dir, log)
	runs(t, f, w)
	w.want(name, serviceEntry("ns", name, "web.example"))
	f.Notify(name)
	f.Synced()
	ready(t, f)
	eventually(t, "the service is written", func() bool { return w.holds(name) })
	return f, log
}

func quickRetries(t *testing.T) {
	t.Helper()
	before := retryAfter
	retryAfter = 5 * time.Millisecond
	t.Cleanup(func() { retryAfter = before })
}

// TestFolderThatBecomesReadOnly verifies the same for a folder that becomes read-only during the run, also for root.
func TestFolderThatBecomesReadOnly(t *testing.T) {
	dir, w, web := t.TempDir(), newWorld(), named("web")
	f, log := startOnSmallDisk(t, dir, w, web)
	before := files(t, dir)
	writable := testbed.ReadOnlyFolder(t, filepath.Join(dir, "ns"))
	w.want(web, serviceEntry("ns", web, "changed.example"))
	f.Notify(web)
	eventually(t, "the failure is logged", func() bool { return strings.Contains(log.String(), MsgFolderFailing) })
	if after := files(t, dir); after["ns/web.dc1.yaml"] != before["ns/web.dc1.yaml"] {
		t.Errorf("the file is now %q", after["ns/web.dc1.yaml"])
	}
	writable()
	eventually(t, "the service is written", func() bool { return w.holds(web) })
	eventually(t, "the recovery is logged", func() bool { return strings.Contains(log.String(), MsgFolderRecovered) })
	if logged := strings.Count(log.String(), MsgFolderFailing); logged != 1 {
		t.Errorf("logged %d times:\n%s", logged, log)
	}
}
