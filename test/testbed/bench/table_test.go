package bench

import (
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var samples []float64
	for n := 200; n > 0; n-- {
		samples = append(samples, float64(n))
	}
	for p, want := range map[int]float64{0: 1, 50: 100, 99: 198, 100: 200} {
		if got := Percentile(samples, p); got != want {
			t.Errorf("p%d of 1 to 200 is %v, not %v", p, got, want)
		}
	}
	if got := Percentile([]float64{7}, 99); got != 7 {
		t.Errorf("p99 of one sample is %v", got)
	}
}

// TestTable verifies that a table marks figures over their limit, and has the figures of one operation side by side and
// all its sizes below each other.
func TestTable(t *testing.T) {
	rows := Compare(Row{Line: 1, What: "a change", Size: "100x3"},
		[]time.Duration{3 * time.Millisecond}, []time.Duration{2 * time.Millisecond}, map[int]float64{50: 1.4, 99: 3})
	for i := range rows {
		rows[i].Ratio = rows[i].Value / rows[i].Floor
	}
	for _, size := range []string{"100x3", "1000x3"} {
		for _, what := range []string{"address", "tags"} {
			rows = append(rows, Row{Line: 3, What: what, Figure: "writes", Size: size, Value: 1},
				Row{Line: 3, What: what, Figure: "sent", Size: size, Value: 1234.5, Unit: "kB", Limit: 1000})
		}
	}
	for i := range rows {
		rows[i].Commit = "abc"
	}
	got := Report{Machine: Machine{Go: "go1", CPU: "a CPU", Cores: 2, Memory: 23.5}, Rows: rows}.Markdown()
	for _, want := range []string{
		"Measured at commit abc; go1, 2 cores of a CPU, 24 GiB of memory.\n",
		"| a change, p50 | 100x3 | 3 ms | 2 ms | 1.50 | **over 1.40** |  |\n| a change, p99 | 100x3 | 3 ms | 2 ms | 1.50 | kept: 3 |  |\n",
		"| | size | writes | sent |\n",
		"| address | 100x3 | 1 | 1234 kB **over 1000** |\n| address | 1000x3 | 1 | 1234 kB **over 1000** |\n| tags | 100x3 |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
