package state

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
)

// encode returns records as a file.
func encode(records []record) ([]byte, error) {
	var bodies [][]byte
	for _, r := range records {
		body, err := r.body()
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	lines, _ := seal(0, bodies)
	return lines, nil
}

// TestMissingLines verifies that a start detects each line that is missing, repeated or moved, except at the end: a file
// without its last lines is an older state of the file.
func TestMissingLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, err := Open(path, quiet())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 { // one rewrite, then additions
		f.Save(contract.Change{Services: []catalog.Service{service(fmt.Sprint("s", i), "1")}})
		if !f.flush() {
			t.Fatal("not saved")
		}
	}
	f.Close()
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(all, []byte("\n")), []byte("\n"))
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	if got := len(load(t, path).Services); got != 10 {
		t.Fatalf("%d services, want 10", got)
	}
	refused := func(change string, at int, lines [][]byte) {
		t.Helper()
		if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		if f, err := Open(path, quiet()); err == nil {
			f.Close()
			t.Errorf("line %d %s: not detected", at, change)
		}
	}
	for at := range len(lines) - 1 {
		refused("missing", at, slices.Delete(slices.Clone(lines), at, at+1))
		refused("repeated", at, slices.Insert(slices.Clone(lines), at, lines[at]))
		moved := slices.Clone(lines)
		moved[at], moved[at+1] = moved[at+1], moved[at]
		refused("moved", at, moved)
	}
}

// TestUnchainedFile verifies that a file of format version 1 is read, and rewritten in the current format.
func TestUnchainedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var old []byte
	for _, r := range []record{{Version: unchained}, {Service: new(service("a", "1"))}, {Synced: "consul"}} {
		body, err := r.body()
		if err != nil {
			t.Fatal(err)
		}
		line, _ := seal(0, [][]byte{body})
		old = append(old, line...)
	}
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path, quiet())
	if err != nil {
		t.Fatal(err)
	}
	f.Save(contract.Change{Services: []catalog.Service{service("b", "1")}})
	if !f.flush() {
		t.Fatal("not saved")
	}
	f.Close()
	content, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(content, []byte(`"version":2`)) {
		t.Errorf("not rewritten: %s, %v", content, err)
	}
	if s := load(t, path); len(s.Services) != 2 || len(s.CompleteSources) != 1 {
		t.Errorf("loaded %+v", s)
	}
}

// TestCutOff verifies that the complete lines of a file that was cut off anywhere apply, and that a damaged file is an
// error.
func TestCutOff(t *testing.T) {
	records := append(recordsOf(contract.Change{Services: []catalog.Service{service("a", "1"), service("b", "1")}}, time.Unix(9, 0).UTC()),
		record{Synced: "consul"})
	all, err := encode(append([]record{{Version: version}}, records...))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(all) + 1 {
		c := newContent()
		j, err := c.read(bytes.NewReader(all[:n]))
		lines := bytes.Count(all[:n], []byte("\n"))
		if err != nil || j.complete != (lines > 0 && all[n-1] == '\n') || len(c.services) != min(max(lines-1, 0), 2) {
			t.Fatalf("cut after %d bytes: complete %v, %d services, %v", n, j.complete, len(c.services), err)
		}
	}
	for at := range all {
		damaged := bytes.Clone(all)
		damaged[at] ^= 4
		c := newContent()
		if j, err := c.read(bytes.NewReader(damaged)); err == nil && j.complete {
			t.Fatalf("a flipped bit at %d is not detected", at)
		}
	}
}

// FuzzRead verifies that no content causes a panic, and that the content can be written and read again.
func FuzzRead(f *testing.F) {
	all, err := encode(recordsOf(contract.Change{Services: []catalog.Service{service("a", "1")}, Synced: "x"}, time.Unix(9, 0).UTC()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"version":2}`), []byte(`{"service":{"Name":"a","Instances":[{}]}}`))
	f.Add(all, []byte(`{"holds":null}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		lines, _ := seal(0, [][]byte{[]byte(`{"version":2}`), first, second})
		c := newContent()
		if _, err := c.read(bytes.NewReader(lines)); err != nil {
			return
		}
		again, err := encode(c.records())
		if err != nil {
			t.Skip(err) // a year that JSON can't hold
		}
		written := newContent()
		if j, err := written.read(bytes.NewReader(again)); err != nil || !j.complete {
			t.Errorf("not read again: %v", err)
		}
	})
}
