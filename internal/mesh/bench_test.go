package mesh_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

// translation is a benchmark of one service.
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

// usual returns services in both forms.
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

// BenchmarkTranslate measures the cost of one change of a service.
func BenchmarkTranslate(b *testing.B) {
	for _, c := range usual() {
		b.Run(fmt.Sprintf("%s/%d", c.name, c.instances), c.run)
	}
}

// hostile returns the largest services that can be registered.
func hostile() (all []translation) {
	for _, form := range []mesh.Form{mesh.WorkloadEntryForm, mesh.InlineForm} {
		c := largeService(10_000, 300)
		c.Options.Form = form
		all = append(all, translation{c, "hostile, " + string(form), 10_000})
	}
	return all
}

// BenchmarkHostile measures the delay that the largest possible service causes to the next ones.
func BenchmarkHostile(b *testing.B) {
	for _, c := range hostile() {
		b.Run(string(c.Options.Form), c.run)
	}
}

// TestBench adds the same figures to the report of all benchmarks; "make bench" runs it.
func TestBench(t *testing.T) {
	if os.Getenv("BENCH") == "" {
		t.Skip(`this test only measures: run "make bench"`)
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
			{"time for each instance", float64(r.NsPerOp()) / 1000 / float64(c.instances), "µs"},
			{"allocations", float64(r.AllocsPerOp()), ""},
			{"allocated", float64(r.AllocedBytesPerOp()) / 1000, "kB"},
		} {
			row.Figure, row.Value, row.Unit = figure.name, figure.value, figure.unit
			rows = append(rows, row)
		}
	}
	bench.Add(t, rows...)
}
