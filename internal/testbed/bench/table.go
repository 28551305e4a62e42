package bench

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Question says what the rows of a line answer.
func Question(line int) string {
	return map[int]string{
		1: "Consul write to object in the API server; the floor is a bare blocking query that wakes and one bare write",
		2: "Consul write to endpoint at a client of istiod; the floor is istiod's debounce",
		3: "What one change costs",
		4: "Start; the floor is the same number of bare applies at the same concurrency",
		5: "50 changes a second",
		6: "Idle",
		7: "Translation of one service",
		8: "Ways to follow Consul",
		9: "DNS",
	}[line]
}

// Markdown returns the report as tables, one for each line.
func (r Report) Markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "Measured at %s.\n", r.Machine)
	rows := slices.Clone(r.Rows)
	for len(rows) > 0 {
		line := rows[0].Line
		fmt.Fprintf(&text, "\n%d. %s:\n\n| | size | | floor | ratio | limit | |\n| --- | --- | --- | --- | --- | --- | --- |\n", line, Question(line))
		for len(rows) > 0 && rows[0].Line == line {
			text.WriteString(rows[0].markdown())
			rows = rows[1:]
		}
	}
	return text.String()
}

func (r Row) markdown() string {
	floor, ratio, limit := "", "", ""
	if r.Floor > 0 {
		floor, ratio = withUnit(r.Floor, r.Unit), figure(r.Ratio)
	}
	if r.Limit > 0 {
		limit = "kept: " + figure(r.Limit)
		if r.Over() {
			limit = "**over " + figure(r.Limit) + "**"
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |\n", r.What, r.Size, withUnit(r.Value, r.Unit), floor, ratio, limit, r.Note)
}

// String returns the row as one line of text.
func (r Row) String() string {
	return strings.TrimSpace(fmt.Sprint(r.Line, r.markdown()))
}

func withUnit(value float64, unit string) string {
	return strings.TrimSpace(figure(value) + " " + unit)
}

// figure writes a number with three digits that count.
func figure(value float64) string {
	if value >= 1000 || value == float64(int(value)) {
		return strconv.FormatFloat(value, 'f', 0, 64)
	}
	if value < 0.001 {
		return strconv.FormatFloat(value, 'g', 3, 64)
	}
	return strconv.FormatFloat(value, 'f', 3-len(strconv.Itoa(int(value))), 64)
}

// Milliseconds returns durations as numbers.
func Milliseconds(durations []time.Duration) []float64 {
	out := make([]float64, len(durations))
	for i, d := range durations {
		out[i] = float64(d.Microseconds()) / 1000
	}
	return out
}

// Percentile returns the smallest sample that p percent of all don't exceed.
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
			each.Samples, each.FloorSamples = nil, nil // they are in the first row
		}
		rows = append(rows, each)
	}
	return rows
}
