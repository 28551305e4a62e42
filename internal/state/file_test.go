package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func service(name string, ids ...string) catalog.Service {
	s := catalog.Service{Key: catalog.Key{Source: "consul", Name: name}, Datacenter: "dc1"}
	for _, id := range ids {
		s.Instances = append(s.Instances, catalog.Instance{
			ID:      catalog.InstanceID{Datacenter: "dc1", Node: "n", ServiceID: id},
			Address: "10.0.0.1", Port: 80, Tags: []string{"a=b"}, Meta: map[string]string{"version": "v1", "odd": "\x00\"\n学"},
			NodeMeta: map[string]string{"zone": "z"}, Locality: catalog.Locality{Region: "r", Zone: "z"},
			Weights: catalog.Weights{Passing: 2, Warning: 1}, Health: catalog.Warning, Checks: []catalog.Check{{Type: "http"}},
		})
	}
	return s
}

// releaser is a contract.Feedback that accepts releases only.
type releaser struct {
	contract.Feedback
	release func(source string)
}

func (r releaser) Release(source string) { r.release(source) }

// running opens a state file and runs it until stop.
func running(t *testing.T, path string, log *slog.Logger, release func(string)) (f *File, stop func()) {
	t.Helper()
	f, err := Open(path, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx, releaser{release: release}) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return f, stop
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func load(t *testing.T, path string) contract.Snapshot {
	t.Helper()
	f, err := Open(path, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSaveAndLoad verifies that the next process loads the last saved state.
func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "state")
	since := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	web, gone := mesh.Name{Source: "consul", Label: "web"}, mesh.Name{Source: "consul", Label: "gone"}
	addresses := []netip.Addr{netip.MustParseAddr("244.1.2.3"), netip.MustParseAddr("fd00::1")}
	pod := netip.MustParseAddr("10.244.1.7")
	for i := range 3 { // each run continues from the one before
		f, stop := running(t, path, quiet(), nil)
		f.Save(contract.Change{Services: []catalog.Service{service("web", "1", "2"), service(fmt.Sprint("s", i), "1"), service("gone", "1")}})
		f.Save(contract.Change{Synced: "consul"})
		old := catalog.Service{Key: catalog.Key{Source: "old", Name: "web"}, Instances: service("web", "1").Instances}
		f.Save(contract.Change{Services: []catalog.Service{old}, Synced: "old"})
		f.Save(contract.Change{PodAddresses: map[mesh.Name]netip.Addr{{Source: "old", Label: "web"}: pod}})
		f.Save(contract.Change{Gone: []string{"old"}})
		f.Save(contract.Change{Services: []catalog.Service{service("web", "2"), service("gone")}})
		f.Save(contract.Change{Holds: map[string]guard.Hold{"consul": {Since: since, Reason: "r", Instances: i}}})
		f.Save(contract.Change{Addresses: map[mesh.Name][]netip.Addr{web: addresses, gone: addresses}})
		f.Save(contract.Change{Addresses: map[mesh.Name][]netip.Addr{gone: nil}})
		f.Save(contract.Change{Names: map[catalog.Key]mesh.Name{{Source: "consul", Name: "w_b"}: web, {Source: "consul", Name: "g.n"}: gone}})
		f.Save(contract.Change{Names: map[catalog.Key]mesh.Name{{Source: "consul", Name: "g.n"}: {}}})
		f.Save(contract.Change{TagHosts: map[mesh.Name][]string{web: {"master", "replica"}, gone: {"master"}}})
		f.Save(contract.Change{TagHosts: map[mesh.Name][]string{gone: nil}})
		f.Save(contract.Change{PodAddresses: map[mesh.Name]netip.Addr{web: pod, gone: pod}})
		f.Save(contract.Change{PodAddresses: map[mesh.Name]netip.Addr{gone: {}}})
		stop()
	}
	want := contract.Snapshot{
		Addresses:       map[mesh.Name][]netip.Addr{web: addresses},
		Names:           map[catalog.Key]mesh.Name{{Source: "consul", Name: "w_b"}: web},
		TagHosts:        map[mesh.Name][]string{web: {"master", "replica"}},
		PodAddresses:    map[mesh.Name]netip.Addr{web: pod},
		Services:        []catalog.Service{service("s0", "1"), service("s1", "1"), service("s2", "1"), service("web", "2")},
		CompleteSources: []string{"consul"},
		Holds:           map[string]guard.Hold{"consul": {Since: since, Reason: "r", Instances: 2}},
	}
	got := load(t, path)
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.IgnoreFields(contract.Snapshot{}, "Changed")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if age := time.Since(got.Changed); age < 0 || age > time.Minute {
		t.Errorf("the last change was %s ago", age)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestSizeIsBounded verifies that the size of the file depends on the catalog, not on the number of changes.
func TestSizeIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, err := Open(path, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 10 {
		for range 1000 {
			f.Save(contract.Change{Services: []catalog.Service{service("web", "1", "2")}})
		}
		if !f.flush() {
			t.Fatal("not saved")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 4<<20 {
		t.Errorf("%d bytes for one service, %v", info.Size(), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	line, err := encode([]record{{Version: 3}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		make func(path string) error
		want string
	}{
		"another's file": {
			func(path string) error { return os.WriteFile(path, []byte("hello\n"), 0o600) },
			"line 1 has no checksum",
		},
		"a damaged line": {
			func(path string) error { return os.WriteFile(path, []byte("00000000 {\"version\":1}\n"), 0o600) },
			"line 1 has a wrong checksum",
		},
		"another version": {
			func(path string) error { return os.WriteFile(path, line, 0o600) },
			"format version 3 is not supported, this isthmus supports 2",
		},
		"a file that other users can read": {
			func(path string) error { return os.WriteFile(path, nil, 0o644) },
			"mode 0644 gives access to other users",
		},
		"a world-writable directory": {
			func(path string) error { return os.Chmod(filepath.Dir(path), 0o777) },
			"directory is world-writable",
		},
		"a folder in its place": {
			func(path string) error { return os.Mkdir(path, 0o700) },
			"not a regular file",
		},
		"a FIFO in its place": {
			func(path string) error { return syscall.Mkfifo(path, 0o600) },
			"not a regular file",
		},
		"a FIFO in the place of the lock": {
			func(path string) error {
				return errors.Join(os.WriteFile(path, []byte("hello\n"), 0o600), syscall.Mkfifo(path+".lock", 0o600))
			},
			"line 1 has no checksum",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			f, err := Open(path, quiet())
			if err == nil {
				f.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) ||
				!strings.HasPrefix(err.Error(), "state file "+path+": ") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, err := Open(path, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Open(path, quiet()); err == nil || !strings.Contains(err.Error(), "another isthmus uses it") {
		t.Errorf("got %v", err)
	}
}
