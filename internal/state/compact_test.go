package state

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
)

// TestTooLarge verifies that the file never exceeds the size that a start accepts, neither by additions nor by the catalog.
// The largest services are left out and logged, and their source is not complete in the file.
func TestTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var log bytes.Buffer
	f, err := Open(path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.maxSize = 40_000
	large := func(name string, instances int) catalog.Service {
		var ids []string
		for i := range instances {
			ids = append(ids, fmt.Sprint("instance-", i))
		}
		return service(name, ids...)
	}
	save := func(changes ...contract.Change) {
		t.Helper()
		for _, change := range changes {
			f.Save(change)
		}
		if !f.flush() {
			t.Fatalf("not saved:\n%s", &log)
		}
		if info, err := os.Stat(path); err != nil || info.Size() > f.maxSize || info.Size() != f.size {
			t.Fatalf("%d bytes, counted as %d, %v", info.Size(), f.size, err)
		}
	}
	holds := func(want ...string) {
		t.Helper()
		c, err := peek(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range c.snapshot().Services {
			got = append(got, fmt.Sprint(s.Key, " ", len(s.Instances)))
		}
		for source := range c.synced {
			got = append(got, source+" complete")
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("contains %q, want %q", got, want)
		}
	}
	services := func(all ...catalog.Service) contract.Change { return contract.Change{Services: all} }

	save(services(large("api", 10), large("web", 30)), contract.Change{Synced: "consul"}, contract.Change{Synced: "east"})
	for range 50 { // the journal alone would exceed the limit
		save(services(large("web", 30)))
	}
	holds("consul complete", "consul/api 10", "consul/web 30", "east complete")

	save(services(large("huge", 200)))
	holds("consul/api 10", "consul/web 30", "east complete")
	if logged := strings.Count(log.String(), "services=[consul/huge]"); logged != 1 {
		t.Errorf("logged %d times:\n%s", logged, &log)
	}
	save(services(large("huge", 201)), contract.Change{Synced: "consul"}) // as after a restart
	save(services(large("api", 11)))
	holds("consul/api 11", "consul/web 30", "east complete")

	save(services(large("huge", 2)))
	holds("consul complete", "consul/api 11", "consul/huge 2", "consul/web 30", "east complete")
	if !strings.Contains(log.String(), MsgFits) {
		t.Errorf("not logged:\n%s", &log)
	}
}
