package state

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// releaser is a listener that is told of nothing but what is released.
type releaser struct {
	contract.Feedback
	release func(source string)
}

func (r releaser) Release(source string) { r.release(source) }

// diaryOf opens a state file and runs it until stop.
func diaryOf(t *testing.T, path string, log *slog.Logger, release func(string)) (f *File, stop func()) {
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

func recalled(t *testing.T, path string) contract.Snapshot {
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

// TestWhatIsRememberedIsRecalled holds that the next process knows what this one was told last.
func TestWhatIsRememberedIsRecalled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "state")
	since := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	web, gone := mesh.Name{Source: "consul", Label: "web"}, mesh.Name{Source: "consul", Label: "gone"}
	addresses := []netip.Addr{netip.MustParseAddr("244.1.2.3"), netip.MustParseAddr("fd00::1")}
	for i := range 3 { // each run goes on from the one before
		f, stop := diaryOf(t, path, quiet(), nil)
		f.Save(contract.Change{Services: []catalog.Service{service("web", "1", "2"), service(fmt.Sprint("s", i), "1"), service("gone", "1")}})
		f.Save(contract.Change{Synced: "consul"})
		old := catalog.Service{Key: catalog.Key{Source: "old", Name: "web"}, Instances: service("web", "1").Instances}
		f.Save(contract.Change{Services: []catalog.Service{old}, Synced: "old"})
		f.Save(contract.Change{Gone: []string{"old"}})
		f.Save(contract.Change{Services: []catalog.Service{service("web", "2"), service("gone")}})
		f.Save(contract.Change{Holds: map[string]guard.Hold{"consul": {Since: since, Reason: "r", Instances: i}}})
		f.Save(contract.Change{Addresses: map[mesh.Name][]netip.Addr{web: addresses, gone: addresses}})
		f.Save(contract.Change{Addresses: map[mesh.Name][]netip.Addr{gone: nil}})
		stop()
	}
	want := contract.Snapshot{
		Addresses:       map[mesh.Name][]netip.Addr{web: addresses},
		Services:        []catalog.Service{service("s0", "1"), service("s1", "1"), service("s2", "1"), service("web", "2")},
		CompleteSources: []string{"consul"},
		Holds:           map[string]guard.Hold{"consul": {Since: since, Reason: "r", Instances: 2}},
	}
	got := recalled(t, path)
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.IgnoreFields(contract.Snapshot{}, "Changed")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if age := time.Since(got.Changed); age < 0 || age > time.Minute {
		t.Errorf("it says that it last changed %s ago", age)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestSizeIsBounded holds that the file follows the catalog and not the number of changes.
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

// TestCutOff holds that of a file that was cut off anywhere, what stands before the cut counts, and that a damaged one
// is refused.
func TestCutOff(t *testing.T) {
	records := append(recordsOf(contract.Change{Services: []catalog.Service{service("a", "1"), service("b", "1")}}, time.Unix(9, 0).UTC()),
		record{Synced: "consul"})
	all, err := encode(append([]record{{Version: version}}, records...))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(all) + 1 {
		c := newContent()
		whole, err := c.read(bytes.NewReader(all[:n]))
		lines := bytes.Count(all[:n], []byte("\n"))
		if err != nil || whole != (lines > 0 && all[n-1] == '\n') || len(c.services) != min(max(lines-1, 0), 2) {
			t.Fatalf("cut after %d bytes: whole %v, %d services, %v", n, whole, len(c.services), err)
		}
	}
	for at := range all {
		damaged := bytes.Clone(all)
		damaged[at] ^= 4
		c := newContent()
		if whole, err := c.read(bytes.NewReader(damaged)); err == nil && whole {
			t.Fatalf("a flipped bit at %d isn't seen", at)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	line, err := encode([]record{{Version: 2}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		make func(path string) error
		want string
	}{
		"another's file": {
			func(path string) error { return os.WriteFile(path, []byte("hello\n"), 0o600) },
			"line 1 doesn't begin with a checksum",
		},
		"a damaged line": {
			func(path string) error { return os.WriteFile(path, []byte("00000000 {\"version\":1}\n"), 0o600) },
			"line 1 doesn't fit its checksum",
		},
		"another version": {
			func(path string) error { return os.WriteFile(path, line, 0o600) },
			"its format has version 2, this isthmus reads 1",
		},
		"a file that others may write": {
			func(path string) error { return os.WriteFile(path, nil, 0o644) },
			"its mode is 0644: others may read or write it",
		},
		"a folder that everybody may write to": {
			func(path string) error { return os.Chmod(filepath.Dir(path), 0o777) },
			"everybody may write to its folder",
		},
		"a folder in its place": {
			func(path string) error { return os.Mkdir(path, 0o700) },
			"it is no regular file",
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
			if err == nil || !strings.Contains(err.Error(), "state file "+path+": "+c.want) {
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

// FuzzRead holds that no file makes reading panic, and that what is read can be written and read again.
func FuzzRead(f *testing.F) {
	all, err := encode(recordsOf(contract.Change{Services: []catalog.Service{service("a", "1")}, Synced: "x"}, time.Unix(9, 0).UTC()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"version":1}`), []byte(`{"service":{"Name":"a","Instances":[{}]}}`))
	f.Add(all, []byte(`{"holds":null}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var file bytes.Buffer
		for _, body := range [][]byte{[]byte(`{"version":1}`), first, second} {
			fmt.Fprintf(&file, "%08x %s\n", checksum(body), body)
		}
		c := newContent()
		if _, err := c.read(&file); err != nil {
			return
		}
		lines, err := encode(c.records())
		if err != nil {
			t.Skip(err) // a year that JSON can't hold
		}
		again := newContent()
		if whole, err := again.read(bytes.NewReader(lines)); err != nil || !whole {
			t.Errorf("not read again: %v", err)
		}
	})
}
