package bench

import (
	"fmt"
	"slices"
	"time"
)

// Milliseconds returns durations as numbers.
func Milliseconds(durations []time.Duration) []float64 {
	out := make([]float64, len(durations))
	for i, d := range durations {
		out[i] = float64(d.Microseconds()) / 1000
	}
	return out
}

// Percentile returns the smallest sample that is not below p percent of all samples.
func Percentile(samples []float64, p int) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// Compare returns the rows of two percentiles of samples and their floor.
func Compare(row Row, samples, floor []time.Duration, limits map[int]float64) []Row {
	row.Unit, row.Samples, row.FloorSamples = "ms", Milliseconds(samples), Milliseconds(floor)
	var rows []Row
	for _, p := range []int{50, 99} {
		each := row
		each.What = fmt.Sprintf("%s, p%d", row.What, p)
		each.Value, each.Limit = Percentile(row.Samples, p), limits[p]
		if len(floor) > 0 {
			each.Floor = Percentile(row.FloorSamples, p)
		}
		if p != 50 {
			each.Samples, each.FloorSamples = nil, nil // the first row has the samples
		}
		rows = append(rows, each)
	}
	return rows
}
