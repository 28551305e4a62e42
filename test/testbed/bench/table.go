package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Question is the question that the rows of a line answer.
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

// Markdown returns the report as tables, one or two for each line.
func (r Report) Markdown() string {
	var commits []string
	for _, row := range r.Rows {
		if !slices.Contains(commits, row.Commit) {
			commits = append(commits, row.Commit)
		}
	}
	return fmt.Sprintf("Measured at commit %s; %s.\n%s", strings.Join(commits, " and "), r.Machine, r.tables())
}

func (r Report) tables() string {
	var text strings.Builder
	for line := 1; Question(line) != ""; line++ {
		var single, figures []Row
		for _, row := range r.Rows {
			switch {
			case row.Line != line:
			case row.Figure != "":
				figures = append(figures, row)
			default:
				single = append(single, row)
			}
		}
		if len(single)+len(figures) > 0 {
			fmt.Fprintf(&text, "\n%d. %s:\n", line, Question(line))
		}
		if len(single) > 0 {
			text.WriteString("\n| | size | | floor | ratio | limit | |\n| --- | --- | --- | --- | --- | --- | --- |\n")
		}
		for _, row := range single {
			text.WriteString(row.markdown())
		}
		text.WriteString(sideBySide(figures))
	}
	return text.String()
}

// sideBySide returns a table with a column for each figure.
func sideBySide(rows []Row) string {
	type key struct{ what, size string }
	var columns, whats []string
	var keys []key
	cells := map[key]map[string]string{}
	for _, row := range rows {
		k := key{row.What, row.Size}
		if cells[k] == nil {
			cells[k] = map[string]string{}
			keys = append(keys, k)
		}
		cells[k][row.Figure] = row.cell()
		if !slices.Contains(columns, row.Figure) {
			columns = append(columns, row.Figure)
		}
		if !slices.Contains(whats, row.What) {
			whats = append(whats, row.What)
		}
	}
	if len(rows) == 0 {
		return ""
	}
	// All sizes of one operation follow each other, which shows constant figures.
	slices.SortStableFunc(keys, func(a, b key) int {
		return cmp.Compare(slices.Index(whats, a.what), slices.Index(whats, b.what))
	})
	text := "\n| | size | " + strings.Join(columns, " | ") + " |\n| --- | ---" + strings.Repeat(" | ---", len(columns)) + " |\n"
	for _, k := range keys {
		text += "| " + k.what + " | " + k.size
		for _, column := range columns {
			text += " | " + cells[k][column]
		}
		text += " |\n"
	}
	return text
}

// cell formats a figure and marks it if it is over its limit.
func (r Row) cell() string {
	text := withUnit(r.Value, r.Unit)
	if r.Over() {
		text += fmt.Sprintf(" **over %s**", figure(r.Limit))
	}
	return text
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

func withUnit(value float64, unit string) string {
	return strings.TrimSpace(figure(value) + " " + unit)
}

// figure formats a number with three significant digits.
func figure(value float64) string {
	if value >= 1000 || value == float64(int(value)) {
		return strconv.FormatFloat(value, 'f', 0, 64)
	}
	if value < 0.001 {
		return strconv.FormatFloat(value, 'g', 3, 64)
	}
	return strconv.FormatFloat(value, 'f', 3-len(strconv.Itoa(int(value))), 64)
}
