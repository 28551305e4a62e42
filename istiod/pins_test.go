// Package istiod holds the checks of this module. Its program is in cmd/isthmus-istiod.
package istiod

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
)

var update = flag.Bool("update", false, "write the pins of tools/istiod into go.mod")

const rootModule = "github.com/isthmus-mesh/isthmus"

// TestPins verifies that the program is built from the versions that tools/istiod uses, which are those of Istio. Without
// the replacements, the dependencies of isthmus would lift many modules of istiod to a mix that upstream does not test.
// To mend go.mod, run the test with -update, and then go mod tidy.
func TestPins(t *testing.T) {
	stock, ours := parseModule(t, "../tools/istiod/go.mod"), parseModule(t, "go.mod")
	want := map[string]string{rootModule: ""}
	for module, version := range versions(stock) {
		if required, ok := versions(ours)[module]; ok && required != version {
			want[module] = version
		}
	}
	if *update {
		writePins(t, ours, want)
	}
	got := map[string]string{}
	for _, pin := range parseModule(t, "go.mod").Replace {
		got[pin.Old.Path] = pin.New.Version
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("replacements in go.mod differ (-want +got):\n%s\nrun: go test . -run TestPins -update && go mod tidy", diff)
	}
}

// versions returns the versions that a module requires.
func versions(file *modfile.File) map[string]string {
	versions := map[string]string{}
	for _, require := range file.Require {
		versions[require.Mod.Path] = require.Mod.Version
	}
	return versions
}

// writePins replaces the pins in go.mod with one sorted block.
func writePins(t *testing.T, file *modfile.File, pins map[string]string) {
	t.Helper()
	for _, old := range slices.Clone(file.Replace) {
		if err := file.DropReplace(old.Old.Path, old.Old.Version); err != nil {
			t.Fatal(err)
		}
	}
	file.Cleanup()
	content, err := file.Format()
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.NewBuffer(content)
	fmt.Fprintf(text, "\nreplace (\n\t%s => ../\n", rootModule)
	for _, module := range slices.Sorted(maps.Keys(pins)) {
		if module != rootModule {
			fmt.Fprintf(text, "\t%s => %s %s\n", module, module, pins[module])
		}
	}
	text.WriteString(")\n")
	if err := os.WriteFile("go.mod", text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func parseModule(t *testing.T, path string) *modfile.File {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := modfile.Parse(path, content, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
