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

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestTooLarge holds that the file never becomes larger than a start takes: by what is added to it, and by the catalog
// itself, whose largest services are left out and named. A file that lacks some doesn't pass for the whole.
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
		for _, s := range c.recollection().Services {
			got = append(got, fmt.Sprint(s.Key, " ", len(s.Instances)))
		}
		for source := range c.synced {
			got = append(got, source+" whole")
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("it holds %q, not %q", got, want)
		}
	}
	services := func(all ...catalog.Service) contract.Change { return contract.Change{Services: all} }

	save(services(large("api", 10), large("web", 30)), contract.Change{Synced: "consul"}, contract.Change{Synced: "east"})
	for range 50 { // the journal alone would pass the bound
		save(services(large("web", 30)))
	}
	holds("consul whole", "consul/api 10", "consul/web 30", "east whole")

	save(services(large("huge", 200)))
	holds("consul/api 10", "consul/web 30", "east whole")
	if told := strings.Count(log.String(), "first=[consul/huge]"); told != 1 {
		t.Errorf("it was named %d times:\n%s", told, &log)
	}
	save(services(large("huge", 201)), contract.Change{Synced: "consul"}) // as after a restart
	save(services(large("api", 11)))
	holds("consul/api 11", "consul/web 30", "east whole")

	save(services(large("huge", 2)))
	holds("consul whole", "consul/api 11", "consul/huge 2", "consul/web 30", "east whole")
	if !strings.Contains(log.String(), "holds all services again") {
		t.Errorf("not told:\n%s", &log)
	}
}
