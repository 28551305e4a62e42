package mesh_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

var update = flag.Bool("update", false, "update the golden files")

const goldenSuffix = ".golden.yaml"

func goldenFile(name string) string { return filepath.Join("testdata", name+goldenSuffix) }

// TestTranslateGolden verifies the complete result of each case: all objects, then the findings.
func TestTranslateGolden(t *testing.T) {
	for _, c := range meshtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			resources, findings := mesh.Translate(c.Service, c.MeshName(), c.Options)
			checkResources(t, resources)
			got := meshtest.Render(t, resources, findings)
			if *update {
				if err := os.WriteFile(goldenFile(c.Name), got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(goldenFile(c.Name))
			if err != nil {
				t.Fatalf("%v; run the test with -update", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("differs from %s (-want +got):\n%s", goldenFile(c.Name), diff)
			}
		})
	}
}

// TestGoldenFilesHaveCases verifies that there are no unused golden files.
func TestGoldenFilesHaveCases(t *testing.T) {
	var names []string
	for _, c := range meshtest.Cases() {
		names = append(names, goldenFile(c.Name))
	}
	slices.Sort(names)
	files, err := filepath.Glob(goldenFile("*"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names, files); diff != "" {
		t.Errorf("cases and golden files (-cases +files):\n%s", diff)
	}
}

// TestTranslateDoesNotModify verifies that the service is read-only.
func TestTranslateDoesNotModify(t *testing.T) {
	fresh := meshtest.Cases()
	for i, c := range meshtest.Cases() {
		mesh.Translate(c.Service, c.MeshName(), c.Options)
		if diff := cmp.Diff(fresh[i].Service, c.Service); diff != "" {
			t.Errorf("%s changed (-before +after):\n%s", c.Name, diff)
		}
	}
}

// TestServiceWithoutInstances verifies that the result is empty.
func TestServiceWithoutInstances(t *testing.T) {
	c := meshtest.Cases()[0]
	c.Service.Instances = nil
	resources, findings := mesh.Translate(c.Service, c.MeshName(), c.Options)
	if len(resources.Objects) != 0 || len(findings) != 0 {
		t.Errorf("got %v and %v", resources, findings)
	}
}
