package mesh_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

// A translation is a service to translate, again and again.
type translation struct {
	meshtest.Case
	name      string
	instances int
}

func (c translation) run(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mesh.Translate(c.Service, c.MeshName(), c.Options)
	}
}

// usual are services of both forms.
func usual() (all []translation) {
	for _, c := range meshtest.Cases()[:2] { // both forms
		for _, instances := range []int{1, 10, 100} {
			service := c.Service
			service.Instances = nil
			for i := range instances {
				instance := c.Service.Instances[i%2]
				instance.ID.ServiceID = fmt.Sprintf("student-service-%03d", i)
				instance.Address = fmt.Sprintf("10.0.0.%d", i)
				service.Instances = append(service.Instances, instance)
			}
			each := c
			each.Service = service
			all = append(all, translation{each, string(c.Options.Form), instances})
		}
	}
	return all
}

// BenchmarkTranslate measures what one change of a service costs.
func BenchmarkTranslate(b *testing.B) {
	for _, c := range usual() {
		b.Run(fmt.Sprintf("%s/%d", c.name, c.instances), c.run)
	}
}

// hostile are the largest services that one may register.
func hostile() (all []translation) {
	for _, form := range []mesh.Form{mesh.WorkloadEntryForm, mesh.InlineForm} {
		c := crowd(10_000, 300)
		c.Options.Form = form
		all = append(all, translation{c, "hostile, " + string(form), 10_000})
	}
	return all
}

// BenchmarkHostile measures what the largest service that one may register costs those that wait behind it.
func BenchmarkHostile(b *testing.B) {
	for _, c := range hostile() {
		b.Run(string(c.Options.Form), c.run)
	}
}

// TestBench puts the same figures into the report of all benchmarks; "make bench" runs it.
func TestBench(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip(`it measures and asserts nothing: run "make bench"`)
	}
	cases := usual()
	if os.Getenv("BENCH") != "quick" {
		cases = append(cases, hostile()...)
	}
	var rows []bench.Row
	for _, c := range cases {
		r := testing.Benchmark(c.run)
		row := bench.Row{Line: 7, What: c.name, Size: fmt.Sprintf("1x%d", c.instances)}
		for _, figure := range []struct {
			name  string
			value float64
			unit  string
		}{
			{"time", float64(r.NsPerOp()) / 1000, "µs"},
			{"of it for an instance", float64(r.NsPerOp()) / 1000 / float64(c.instances), "µs"},
			{"allocations", float64(r.AllocsPerOp()), ""},
			{"allocated", float64(r.AllocedBytesPerOp()) / 1000, "kB"},
		} {
			row.Figure, row.Value, row.Unit = figure.name, figure.value, figure.unit
			rows = append(rows, row)
		}
	}
	bench.Add(t, rows...)
}
