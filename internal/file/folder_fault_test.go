package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestFolderThatIsFull holds that a full disk costs no file, that it is said once, and that what waits is written when
// there is room.
func TestFolderThatIsFull(t *testing.T) {
	quickRetries(t)
	dir, w, web := t.TempDir(), newWorld(), named("web")
	testbed.SmallDisk(t, dir)
	log := &paper{}
	f := newFolder(t, dir, log)
	runs(t, f, w)
	w.want(web, serviceEntry("ns", web, "web.example"))
	f.Notify(web)
	f.Synced()
	ready(t, f)
	eventually(t, "the service is written", func() bool { return w.holds(web) })
	before := files(t, dir)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 100<<10), 0o600); err == nil {
		t.Fatal("the disk isn't full")
	}
	w.want(web, serviceEntry("ns", web, "changed.example"))
	f.Notify(web)
	eventually(t, "it is said", func() bool { return strings.Contains(log.String(), "can't be written") })
	if after := files(t, dir); after["ns/web.dc1.yaml"] != before["ns/web.dc1.yaml"] {
		t.Errorf("the file is now %q", after["ns/web.dc1.yaml"])
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the service is written", func() bool { return w.holds(web) })
	eventually(t, "it is said to be over", func() bool { return strings.Contains(log.String(), "can be written again") })
	if said := strings.Count(log.String(), "can't be written"); said != 1 {
		t.Errorf("said %d times:\n%s", said, log)
	}
}

// TestFolderWithOneBadPlace holds that a service that can't be written holds up no other.
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
		t.Error("it says that it wrote")
	}
	if err := os.Remove(filepath.Join(dir, "bad")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the service is written", func() bool { return w.holds(web) })
}

func quickRetries(t *testing.T) {
	t.Helper()
	before := retryAfter
	retryAfter = 5 * time.Millisecond
	t.Cleanup(func() { retryAfter = before })
}
