// Package bench collects the figures of all benchmarks in one report: JSON with every sample, and a table in Markdown.
package bench

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// Row is one figure of the report, with its limit.
type Row struct {
	// Line is the number of the row's Question.
	Line int `json:"line"`
	// What is the measured operation. Size is services x instances and the form of the endpoints. Rows with the same
	// What and Size and different Figures stand side by side in the table.
	What   string `json:"what"`
	Figure string `json:"figure,omitempty"`
	Size   string `json:"size"`
	// Value is the figure in Unit.
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Floor is the lower bound of Value, measured in the same run. It is 0 if there is none.
	Floor float64 `json:"floor,omitempty"`
	// Ratio is Value / Floor. Add computes it.
	Ratio float64 `json:"ratio,omitempty"`
	// Limit is the upper bound of Ratio, or of Value without a Floor. It is 0 if there is none.
	Limit float64 `json:"limit,omitempty"`
	// Note is a remark for the reader.
	Note string `json:"note,omitempty"`
	// Samples are the raw figures behind Value. FloorSamples are those behind Floor.
	Samples      []float64 `json:"samples,omitempty"`
	FloorSamples []float64 `json:"floorSamples,omitempty"`
	// At is the time of the measurement. Commit is the commit of the code.
	At     time.Time `json:"at"`
	Commit string    `json:"commit"`
}

// Over reports whether the figure is above its limit.
func (r Row) Over() bool {
	return r.Limit > 0 && cmp.Or(r.Ratio, r.Value) > r.Limit
}

// Report contains all figures.
type Report struct {
	// Machine describes the machine of the newest rows.
	Machine
	Rows []Row `json:"rows"`
}

// adding serializes the writers of the report in a process; packages are measured one after the other. No other lock is
// taken with it.
var adding sync.Mutex

// Add replaces the rows of the same line, figure and size in the report, and writes it to .build/bench/results.json and
// results.md.
func Add(t testing.TB, rows ...Row) {
	t.Helper()
	adding.Lock()
	defer adding.Unlock()
	folder, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "results.json")
	report, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	report.Machine = thisMachine()
	commit := commit(t.Context())
	for i := range rows {
		rows[i].At, rows[i].Commit = time.Now().UTC().Truncate(time.Second), commit
		if rows[i].Floor > 0 {
			rows[i].Ratio = rows[i].Value / rows[i].Floor
		}
		report.put(rows[i])
	}
	t.Log(strings.TrimSpace(Report{Rows: rows}.tables()))
	content, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(file, content, 0o600),
		os.WriteFile(filepath.Join(folder, "results.md"), []byte(report.Markdown()), 0o600),
	); err != nil {
		t.Fatal(err)
	}
}

func (r *Report) put(row Row) {
	same := func(other Row) bool {
		return other.Line == row.Line && other.What == row.What && other.Figure == row.Figure && other.Size == row.Size
	}
	if i := slices.IndexFunc(r.Rows, same); i >= 0 {
		r.Rows[i] = row
		return
	}
	r.Rows = append(r.Rows, row)
	slices.SortStableFunc(r.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(services(a.Size), services(b.Size)))
	})
}

// services is the number at the start of a size.
func services(size string) (n int) {
	if _, err := fmt.Sscan(strings.Split(size, "x")[0], &n); err != nil {
		return 0
	}
	return n
}

// read returns the existing report, or an empty one.
func read(file string) (report Report, err error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return report, nil
	}
	if err != nil {
		return report, err
	}
	return report, json.Unmarshal(content, &report)
}

func folder() (string, error) {
	root, err := testbed.Root()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(root, ".build", "bench")
	return folder, os.MkdirAll(folder, 0o755)
}
