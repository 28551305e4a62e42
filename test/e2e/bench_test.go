package e2e

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestBenchmarks measures the speed of isthmus on real servers, as ratios to floors of the same run. "make bench" runs
// it. BENCH=1 takes all sizes, BENCH=quick the small ones. BENCH_SIZE replaces the sizes, for example 100x3 or
// 10000x10:workloadEntry. The flag -run selects lines: -run 'TestBenchmarks/1000x3.*/change'.
func TestBenchmarks(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip(`it measures and asserts little: run "make bench"`)
	}
	requireAll(t, testbed.IstiodBinary)
	for _, size := range benchSizes(t) {
		t.Run(size.String(), func(t *testing.T) {
			b := &bed{benchSize: size, owner: t}
			for _, line := range []struct {
				name    string
				measure func(*testing.T)
			}{
				{"start", b.measureStart}, // BENCH=quick takes the first and the last line at the smallest size only
				{"idle", b.measureIdle},
				{"change", b.measureChange},
				{"load", b.measureLoad},
				{"cost", b.measureCost},
				{"eds", b.measureEDS},
			} {
				if slow := line.name == "start" || line.name == "eds"; !quick() || !slow || size.objects() < 1000 {
					t.Run(line.name, line.measure)
				}
			}
		})
	}
}

// benchSize is the size of a catalog and the form of its endpoints.
type benchSize struct {
	services, instances int
	form                string
}

func (s benchSize) String() string { return fmt.Sprintf("%dx%d-%s", s.services, s.instances, s.form) }

// inline reports whether a service is one object.
func (s benchSize) inline() bool { return s.form == "inline" }

// objects is the number of objects of the catalog in the mesh.
func (s benchSize) objects() int {
	if s.inline() {
		return s.services
	}
	return s.services * (1 + s.instances)
}

func quick() bool { return os.Getenv("BENCH") == "quick" }

func benchSizes(t *testing.T) (sizes []benchSize) {
	t.Helper()
	usual := "100x3 1000x3 10000x10:inline"
	if quick() {
		usual = "100x3 1000x3"
	}
	for _, text := range strings.Fields(cmp.Or(os.Getenv("BENCH_SIZE"), usual)) {
		numbers, form, _ := strings.Cut(text, ":")
		size := benchSize{form: cmp.Or(form, "workloadEntry")}
		if _, err := fmt.Sscanf(numbers, "%dx%d", &size.services, &size.instances); err != nil {
			t.Fatalf("BENCH_SIZE: %q: %v", text, err)
		}
		sizes = append(sizes, size)
	}
	return sizes
}
